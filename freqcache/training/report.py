"""How a run speaks while it works.

The library is silent unless it is given a reporter; the command line gives a :class:`TerminalReporter`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TextIO, TypeVar

from tqdm import tqdm

from freqcache.progress import can_show_bars

T = TypeVar("T")


class Reporter(Protocol):
    """What the library says while it works, and how far it is."""

    def line(self, text: str) -> None:
        """Say one line."""

    def warn(self, text: str) -> None:
        """Say one line that the user should not miss."""

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield `items`, showing the progress through `total` of them."""

    def status(self, text: str) -> None:
        """Show beside the progress how it goes."""


class SilentReporter:
    """Says nothing."""

    def line(self, text: str) -> None:
        """Drop `text`."""

    def warn(self, text: str) -> None:
        """Drop `text`; warnings are also part of every result."""

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:  # noqa: ARG002
        """Yield `items`."""
        yield from items

    def status(self, text: str) -> None:
        """Drop `text`."""


class QuietReporter(SilentReporter):
    """Says nothing but warnings, on standard error."""

    def warn(self, text: str) -> None:
        """Write one line that starts with ``warning:``."""
        tqdm.write(f"warning: {text}", file=sys.stderr)


class TerminalReporter:
    """Lines on `stream`; a progress bar on standard error when that is a terminal.

    Parameters
    ----------
    stream : text file, optional
        Standard output by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self._bar: tqdm[Any] | None = None

    def line(self, text: str) -> None:
        """Write one line without disturbing a bar."""
        tqdm.write(text, file=self.stream)
        self.stream.flush()

    def warn(self, text: str) -> None:
        """Write one line that starts with ``warning:``."""
        self.line(f"warning: {text}")

    def track(self, items: Iterable[T], *, total: int, label: str) -> Iterator[T]:
        """Yield `items` behind a bar that vanishes when done (no bar when nobody watches)."""
        disable = not can_show_bars(sys.stderr)
        with tqdm(items, total=total, desc=label, leave=False, disable=disable, file=sys.stderr, unit="batch") as bar:
            self._bar = bar
            yield from bar
        self._bar = None

    def status(self, text: str) -> None:
        """Write `text` behind the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

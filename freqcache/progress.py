"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TextIO

from tqdm import tqdm

_LINES: Final = 5


class Progress(Protocol):
    """What the work tells: how many more units are done."""

    def update(self, n: int) -> object:
        """Count `n` more units."""


class _Lines:
    """Writes a line to stderr each time another fifth of the work is done."""

    def __init__(self, total: int, title: str, unit: str) -> None:
        self._total, self._title, self._unit, self._done = total, title, unit, 0

    def update(self, n: int) -> None:
        before, self._done = self._done, self._done + n
        if self._total and before * _LINES // self._total < self._done * _LINES // self._total:
            sys.stderr.write(f"{self._title}: {self._done}/{self._total} {self._unit}\n")


def can_show_bars(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can write over its own line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(total: int, title: str, *, unit: str = "images", quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of `total` units of work while the context lasts.

    Parameters
    ----------
    total : int
        Units of work.
    title, unit : str
        What is being done, to what.
    quiet : bool
        Show nothing.
    """
    if can_show_bars(sys.stderr) and not quiet:
        with tqdm(total=total, desc=title, unit=f" {unit}", smoothing=0.1) as bar:
            yield bar
    else:
        yield _Lines(0 if quiet else total, title, unit)

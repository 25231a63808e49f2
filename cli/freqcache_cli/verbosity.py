"""``-q`` and ``-v`` of every command: how much is said beside what was asked for.

``-q`` leaves results and errors; ``-v`` adds what the library logs at the level INFO (files that failed, seconds of
each stage) and what an error came from; ``-vv`` adds DEBUG and the traceback of an error. The library itself writes to
the logger ``freqcache``, where a warning shows, and nothing less does unless somebody asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from freqcache.training import Reporter

F = TypeVar("F", bound=Callable[..., Any])

_LEVELS: Final = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
_KEY: Final = "freqcache_cli.verbosity"


class _Lines(logging.Handler):
    """Writes records to what standard error is at that time, without disturbing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


_handler = _Lines()
_handler.setFormatter(logging.Formatter("%(message)s"))


class _Verbosity:
    """Of the command that runs; one command runs in a process."""

    amount = 0


def start(amount: int = 0) -> None:
    """Let the library's log be shown on standard error.

    Parameters
    ----------
    amount : int
        -1 for ``-q``, 0, 1 for ``-v``, 2 for ``-vv``.
    """
    _Verbosity.amount = amount = min(2, amount)
    logger = logging.getLogger("freqcache")
    logger.setLevel(_LEVELS[amount])
    if _handler not in logger.handlers:
        logger.addHandler(_handler)


def stop() -> None:
    """Leave the library's log as it was."""
    logger = logging.getLogger("freqcache")
    logger.removeHandler(_handler)
    logger.setLevel(logging.NOTSET)


def amount() -> int:
    """Return how much is said: -1 for ``-q``, 0, 1 for ``-v``, 2 for ``-vv``."""
    return _Verbosity.amount


def _choose(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    asked = context.meta.setdefault(_KEY, {})
    asked[parameter.name] = value
    if asked.get("quiet") and asked.get("verbose"):
        msg = "-q and -v contradict each other"
        raise click.UsageError(msg)
    start(-1 if asked.get("quiet") else int(asked.get("verbose", 0)))
    return value


def verbose(function: F) -> F:
    """Decorate a command whose output is its result with ``-v/--verbose``, which works by itself."""
    option = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_choose,
        help="Say more: each file that failed, seconds of each stage, the cause of an error. -vv: its traceback.",
    )
    return option(function)


def verbosity(function: F) -> F:
    """Decorate a command with ``-q/--quiet``, which it gets as `quiet`, and with ``-v/--verbose``."""
    quiet = click.option(
        "-q", "--quiet", is_flag=True, callback=_choose, help="Say results and errors alone: no progress, no summary."
    )
    return quiet(verbose(function))


def reporter(*, quiet: bool) -> Reporter:
    """Return what speaks for a run; a quiet one's warnings go to standard error."""
    from freqcache.training import TerminalReporter
    from freqcache.training.report import QuietReporter

    return QuietReporter() if quiet else TerminalReporter()

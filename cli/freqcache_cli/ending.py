"""How a command ends that does not end by itself: signals, closed pipes, errors, each with one line and its status."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import click

from freqcache_cli import terminal, verbosity
from freqcache_formats.errors import FreqcacheError

FAILED: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT
CLOSED_PIPE: Final = 128 + signal.SIGPIPE
TERMINATED: Final = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up at Ctrl-C does so here."""


@contextmanager
def terminations() -> Iterator[None]:
    """Turn SIGTERM into an exception while the context lasts.

    Not under torchrun, which ends processes that wait for each other: inside a collective operation they would go on
    waiting, for no exception is raised there.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    is_main = threading.current_thread() is threading.main_thread()
    if not (alone and is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second one must not interrupt cleaning up
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def after_interruption(interruption: BaseException) -> int:
    """Say that the command was interrupted, and how to go on; return the exit status."""
    terminated = isinstance(interruption, Terminated)
    word, status = ("terminated", TERMINATED) if terminated else ("interrupted", INTERRUPTED)
    notes = getattr(interruption, "__notes__", [])
    with suppress(OSError):
        begin = "\n" if sys.stderr.isatty() else ""  # a terminal shows ^C in the line
        click.echo(f"{begin}freqcache: {'; '.join([word, *notes[-1:]])}", err=True)
    return status


def after_error(error: FreqcacheError) -> int:
    """Say what could not be done; with ``-v`` also what it came from; return the exit status."""
    terminal.say_error("freqcache: error:", str(error))
    if verbosity.amount() >= 2:
        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    elif verbosity.amount() == 1:
        cause = error.__cause__ or error.__context__
        while cause is not None:
            click.echo(f"freqcache: caused by {type(cause).__name__}: {cause}", err=True)
            cause = cause.__cause__ or cause.__context__
    return FAILED


def after_usage_error(error: click.ClickException) -> int:
    """Say what is wrong with what was typed; return the exit status."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    terminal.say_error("Error:", error.format_message())
    return error.exit_code


def after_closed_pipe() -> int:
    """Leave nothing to be written to a pipe that nobody reads; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # Python flushes it again at its end, and would say so
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return CLOSED_PIPE


def is_closed_pipe(error: OSError) -> bool:
    """Whether whoever read what is written has gone."""
    return error.errno == errno.EPIPE

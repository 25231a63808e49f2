"""What an interruption (Ctrl-C) says to whoever catches it: how to go on from what it left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

GOES_ON: Final = "the same command goes on from here"
"""What to say of work that is resumed by repeating it."""


@contextmanager
def going_on(how: str | Callable[[], str]) -> Iterator[None]:
    """Add a note to a KeyboardInterrupt that ends the context; the outermost context's is the last.

    Parameters
    ----------
    how : str or callable
        How to go on, or what says so at the time of the interruption.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        interruption.add_note(how if isinstance(how, str) else how())
        raise

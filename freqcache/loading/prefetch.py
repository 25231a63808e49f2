"""Runs an iterator in a background thread, a bounded number of results ahead of whoever takes them.

The thread ends with the iterator, at its first error, or when nobody wants its results any more: when
:class:`Prefetched` is closed or garbage collected, and when the interpreter exits. Both sides wait for queues, neither
looks at a clock. The queues are ``SimpleQueue``, which alone may be used while garbage is collected: that can happen
at any moment, in either thread.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prefetched(Iterator[T]):
    """The results of an iterator, in its order, made ahead by a thread that starts at the first.

    Parameters
    ----------
    source : iterator
        Must not hold this object, which would then never be garbage collected.
    depth : int
        Results that wait, or are being made, at most.

    Raises
    ------
    Exception
        What `source` raises, after the results that came before it.
    """

    def __init__(self, source: Iterator[T], depth: int) -> None:
        self._line: _Line[T] = _Line(depth)
        self._thread = threading.Thread(target=_fill, args=(source, self._line), name="freqcache-prefetch", daemon=True)
        self._over = False
        # Without waiting for the thread: nobody may, while garbage is collected. _stop_all does, at exit.
        weakref.finalize(self, self._line.stop).atexit = False

    def __next__(self) -> T:
        if self._line.process != os.getpid():
            msg = "this iteration began in another process; begin one here"
            raise RuntimeError(msg)
        if self._over:
            raise StopIteration
        if self._thread.ident is None:
            _running[self._line] = self._thread
            self._thread.start()
        result = self._line.made.get()
        if not isinstance(result, _End):
            self._line.wanted.put(None)
            return result
        self._over = True
        raise StopIteration if result.error is None else result.error

    def close(self) -> None:
        """Stop the thread and wait for its end: for what it is making now, no more."""
        self._over = True
        self._line.stop()
        if self._thread.ident is not None and self._line.process == os.getpid():
            self._thread.join()


@dataclass(frozen=True, eq=False)
class _End:
    """What comes after the last result."""

    error: BaseException | None = None


class _Line(Generic[T]):
    """Results that wait for whoever takes them, and how many more are wanted."""

    def __init__(self, depth: int) -> None:
        self.process = os.getpid()
        self.made: SimpleQueue[T | _End] = SimpleQueue()
        self.wanted: SimpleQueue[None] = SimpleQueue()
        self.stopped = False
        for _ in range(depth):
            self.wanted.put(None)

    def stop(self) -> None:
        """Want no more results."""
        if self.process == os.getpid():  # a fork leaves the thread behind
            self.stopped = True
            self.wanted.put(None)


_running: weakref.WeakKeyDictionary[_Line[Any], threading.Thread] = weakref.WeakKeyDictionary()
"""Threads that have started, by their lines."""


def _fill(source: Iterator[T], line: _Line[T]) -> None:
    """Make results while they are wanted: the thread's whole life."""
    end = _End()
    try:
        while True:
            line.wanted.get()
            if line.stopped:
                break
            line.made.put(next(source))
    except StopIteration:
        pass
    except BaseException as error:  # noqa: BLE001  (whoever takes the results raises it)
        end = _End(error)
    line.made.put(end)


def _stop_all() -> None:
    """Stop all threads and wait for them: one that is in compiled code while the interpreter goes would crash it."""
    for line, thread in list(_running.items()):
        if line.process == os.getpid():
            line.stop()
            thread.join()


atexit.register(_stop_all)

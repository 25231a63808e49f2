"""Asks for several things at the same time where each answer takes a while, as an object store's do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[Result]:
    """Yield what a function gives for each item, in order.

    Parameters
    ----------
    function : callable
        Called by threads, but where `at_once` is 1. When whoever takes the results stops early, calls that have begun
        are not waited for: that may take as long as all attempts to reach a server.
    items : iterable
        Taken as far ahead as need be, and no further.
    at_once : int
        Calls at the same time, the one whose result is waited for included.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    todo: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
    n_threads = 0
    try:
        for item in items:
            pending.append(Future())
            todo.put((pending[-1], item))
            if n_threads < at_once:
                threading.Thread(target=_work, args=(function, todo), name="freqcache-ahead", daemon=True).start()
                n_threads += 1
            if len(pending) == at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for _ in range(n_threads):
            todo.put(None)


def _work(function: Callable[[Item], Result], todo: SimpleQueue[tuple[Future[Result], Item] | None]) -> None:
    """Make calls until there are no more: a thread's whole life."""
    while (task := todo.get()) is not None:
        _call(function, *task)
        del task  # neither a result nor an error is kept while the next one is waited for


def _call(function: Callable[[Item], Result], future: Future[Result], item: Item) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function(item)
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
        del future  # which the error would lead back to, by this frame
    else:
        future.set_result(result)

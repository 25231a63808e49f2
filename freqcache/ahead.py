"""Asks for several things at the same time where each answer takes a while, as an object store's do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[Result]:
    """Yield what a function gives for each item, in order.

    Parameters
    ----------
    function : callable
        Called by threads, but where `at_once` is 1.
    items : iterable
        Taken as far ahead as need be, and no further.
    at_once : int
        Calls at the same time.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="freqcache-ahead")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

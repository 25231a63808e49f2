"""Runs the parts of one read in threads; the work itself releases the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

_executors: dict[int, ThreadPoolExecutor] = {}
"""By number of threads."""

os.register_at_fork(after_in_child=_executors.clear)  # threads do not survive a fork


def run_all(work: Sequence[Callable[[], None]], threads: int) -> None:
    """Do all of `work`, up to `threads` pieces at a time; the first error, by the order of the threads, is raised.

    Raises
    ------
    ValueError
        For fewer than one thread.
    """
    if threads < 1:
        msg = f"threads: expected at least 1, found {threads}"
        raise ValueError(msg)
    if threads == 1 or len(work) < 2:
        for piece in work:
            piece()
        return
    if threads not in _executors:
        _executors[threads] = ThreadPoolExecutor(threads, thread_name_prefix="freqcache-read")
    # One job a thread, each taking every n-th piece: handing over a piece costs as much as decoding a small chunk.
    jobs = min(threads, len(work))
    futures = [_executors[threads].submit(_run, work[first::jobs]) for first in range(jobs)]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _run(work: Sequence[Callable[[], None]]) -> None:
    for piece in work:
        piece()

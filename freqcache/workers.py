"""Worker processes for independent tasks: the local engine (:mod:`freqcache.engines`).

Workers are spawned, never forked: the parent may hold threads (torch, zarr) that a fork would freeze. They do not
import the caller's main module, so a script needs no main guard; they leave Ctrl-C to the parent; and they end when the
parent does, however it dies.

Each worker has a pipe of its own and one task at a time, so a worker that dies is the end of its pipe and nothing else.
``ProcessPoolExecutor`` shares a queue between its workers instead: in Python 3.11.2 a dead worker leaves it waiting for
ever, because a shard's description is longer than the queue's pipe holds. This module imports nothing heavy, so that a
worker runs :func:`_work` before anything else is imported.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self, TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class WorkerDiedError(Exception):
    """A worker process ended before its task did; the message says which, for a person."""


class Pool:
    """Worker processes started when first needed; with one worker, this process.

    Parameters
    ----------
    workers : int
        Number of processes.
    apart : bool
        Never work in this process, not even for one worker or one task.
    """

    def __init__(self, workers: int, *, apart: bool = False) -> None:
        self._workers = workers
        self._apart = apart
        self._started: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.cancel()
        for worker in self._started:
            worker.pipe.close()
        for worker in self._started:
            worker.process.join()

    def cancel(self) -> None:
        """End the workers at once."""
        started, self._started = self._started, []
        for worker in started:
            # A shard that is abandoned leaves nothing behind that counts; waiting for it helps nobody.
            worker.process.terminate()
            worker.pipe.close()
        for worker in started:
            worker.process.join()

    def visit(self, function: Callable[[_Task], _Result], task: _Task) -> Iterable[tuple[str, _Result | Exception]]:
        """Visit nobody: these workers are of this machine and this release."""
        del function, task
        return ()

    def run(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Yield the results as they come, in no order; a task is taken when there is a worker for it.

        Raises
        ------
        WorkerDiedError
            If a worker dies.
        """
        waiting = iter(tasks)
        if self._workers == 1 and not self._apart:
            yield from map(function, waiting)
            return
        first = list(islice(waiting, self._workers))
        if len(first) <= 1 and not self._apart:
            yield from map(function, first)
            return
        while len(self._started) < len(first):
            self._started.append(_start_worker())
        busy = []
        for worker, task in zip(self._started, first, strict=False):
            worker.give(function, task)
            busy.append(worker)
        while busy:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                result = worker.take()
                busy.remove(worker)
                for task in islice(waiting, 1):
                    worker.give(function, task)
                    busy.append(worker)
                yield result


@dataclass(frozen=True, kw_only=True, eq=False)
class _Worker:
    """A process and the parent's end of its pipe."""

    process: BaseProcess
    pipe: Connection

    def give(self, function: Callable[[Any], Any], task: Any) -> None:
        """Send a task to a worker that has none."""
        try:
            self.pipe.send((function, task))
        except ConnectionError as error:
            msg = "a worker process died while it had no task"
            raise WorkerDiedError(msg) from error

    def take(self) -> Any:
        """Receive the result of the task, or raise its error."""
        try:
            result, error = self.pipe.recv()
        except (EOFError, OSError) as broken:
            msg = "a worker process died (killed, or out of memory)"
            raise WorkerDiedError(msg) from broken
        if error is not None:
            raise error
        return result


def _start_worker() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    resource_tracker.ensure_running()  # otherwise the first start does it, and unblocks Ctrl-C on the way
    with _no_main_module(), _interrupts_blocked():
        process.start()
    theirs.close()  # with the worker's own end, the last one: a dead worker must be the end of the pipe
    return _Worker(process=process, pipe=ours)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Hide where the main module came from: a spawned process would import it again."""
    main: dict[str, Any] = sys.modules["__main__"].__dict__
    hidden: dict[str, Any] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C, not ignore it: a process started now inherits the mask, and this one's is only delayed."""
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _work(pipe: Connection) -> None:
    """Do tasks until the parent closes the pipe: a worker's whole life."""
    # A lock that a library makes when it is imported (numcodecs does) is then a semaphore without a name. With a name,
    # it would outlive a worker that is killed, and Python would say so on stderr.
    multiprocessing.set_start_method("fork", force=True)
    _end_with_the_parent()
    with suppress(EOFError, ConnectionError):  # the parent needs no more, or is gone
        while True:
            function, task = pipe.recv()
            pipe.send(_outcome(function, task))


def _outcome(function: Callable[[Any], Any], task: Any) -> tuple[Any, Exception | None]:
    """Return the result of a task and no error, or no result and its error, which the parent raises."""
    try:
        return function(task), None
    except Exception as error:  # noqa: BLE001
        # Tracebacks do not travel, and a defect must show where it is.
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return None, error


def _end_with_the_parent() -> None:
    """Watch the parent from a thread, and end this worker when it is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Worker processes for the tasks of a build; the interface is that of ``concurrent.futures``.

Workers are spawned, never forked: the parent may hold threads (torch, zarr) that a fork would freeze. They do not
import the caller's main module, so a script needs no main guard; they leave Ctrl-C to the parent; and they end when the
parent does, however it dies.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any, Self, TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Pool:
    """Worker processes started when first needed; with one worker, this process.

    Parameters
    ----------
    workers : int
        Number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._context = _SpawnContext()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if kind is not None:
            # A shard that is abandoned leaves nothing behind that counts; waiting for it helps nobody.
            for process in self._context.started:
                process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield the results as they come, in no order.

        Raises
        ------
        BrokenProcessPool
            If a worker dies.
        """
        if self._workers == 1 or len(tasks) <= 1:
            yield from map(function, tasks)
            return
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._workers, mp_context=self._context, initializer=_end_with_the_parent
            )
        # Few are submitted ahead: a list of a million tasks need not be pickled at once.
        waiting = iter(tasks)
        pending: set[Future[_Result]] = set()
        for task in islice(waiting, 2 * self._workers):
            pending.add(self._executor.submit(function, task))
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            for task in islice(waiting, len(finished)):
                pending.add(self._executor.submit(function, task))


class _SpawnProcess(multiprocessing.context.SpawnProcess):
    """A spawned process that has no main module to import and no ear for Ctrl-C."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  (the name that multiprocessing calls)
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {
            name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
        }
        main.__dict__["__spec__"] = None
        # Blocked, not ignored: the child inherits the mask, and the parent's own Ctrl-C is only delayed.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return multiprocessing.context.SpawnProcess._Popen(process_obj)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            main.__dict__.update(hidden)


class _SpawnContext(multiprocessing.context.SpawnContext):
    """Makes such processes and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[_SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> _SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = _SpawnProcess(*arguments, **keywords)
        self.started.append(process)
        return process


def _end_with_the_parent() -> None:
    """Watch the parent from a thread, and end this worker when it is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

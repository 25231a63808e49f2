"""Any executor with the interface of concurrent.futures as an engine.

Of the executor no more is used than ``submit(function, task)``, and of its futures ``result``, ``cancel`` and
``add_done_callback``. Whoever made the executor shuts it down.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from freqcache.engines.releases import releases, run_checked
from freqcache.workers import WorkerDiedError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

WINDOW: Final = 256
"""Tasks that are with the executor at a time; a shard's takes some 200 KB while it waits."""

ATTEMPTS: Final = 3
"""How often a task is submitted whose workers die."""

_log = logging.getLogger("freqcache")


class ExecutorEngine:
    """Runs tasks by an executor.

    Parameters
    ----------
    executor : Executor
        What has ``submit``: a process pool, MPI's, Dask's.
    window : int
        Tasks that are with it at a time, at most: two for each worker keep all of them at work.
    attempts : int
        How often a task is submitted whose worker dies; the last time ends the build.
    """

    def __init__(self, executor: Executor, *, window: int = WINDOW, attempts: int = ATTEMPTS) -> None:
        self._executor = executor
        self._window = window
        self._attempts = attempts
        self._pending: dict[Future[Any], tuple[Any, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def run(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Yield the results of tasks as they come, in no order: see :class:`freqcache.engines.Engine`."""
        checked = partial(run_checked, releases(), function)
        waiting = iter(tasks)
        done: SimpleQueue[Future[_Result]] = SimpleQueue()
        deaths = _deaths()

        def submit(task: _Task, attempt: int) -> None:
            try:
                future = self._executor.submit(checked, task)
            except deaths as error:
                self._check_connection()
                raise self._died(attempt) from error
            self._pending[future] = task, attempt
            future.add_done_callback(done.put)

        def fill() -> None:
            for task in islice(waiting, max(0, self.window() - len(self._pending))):
                submit(task, 1)

        try:
            fill()
            while self._pending:
                future = done.get()
                task, attempt = self._pending.pop(future)
                try:
                    result = future.result()
                except deaths as error:
                    self._check_connection()
                    if attempt >= self._attempts:
                        raise self._died(attempt) from error
                    _log.info("a task is submitted again, its worker died: %s", str(error) or type(error).__name__)
                    submit(task, attempt + 1)
                    continue
                fill()
                yield result
        finally:
            self.cancel()

    def visit(self, function: Callable[[_Task], _Result], task: _Task) -> Iterable[tuple[str, _Result | Exception]]:
        """Visit one worker: an executor does not say which it has."""
        try:
            yield "of the executor", self._executor.submit(function, task).result()
        except Exception as error:  # noqa: BLE001  (the caller says whose error it is)
            yield "of the executor", error

    def cancel(self) -> None:
        """Cancel the tasks that are not done; one that has begun may go on to its end."""
        pending, self._pending = self._pending, {}
        for future in pending:
            future.cancel()

    def window(self) -> int:
        """Return how many tasks may be with the executor now."""
        return self._window

    def _check_connection(self) -> None:
        """Raise a BuildError if it is not a worker that is lost, but all of them."""

    def _died(self, attempts: int) -> Exception:
        times = "its worker" if attempts == 1 else f"each of the {attempts} times its worker"
        return WorkerDiedError(f"a task did not come back, {times} died (killed, or out of memory)")


def _deaths() -> tuple[type[Exception], ...]:
    """Return what the future of a task raises whose worker died, or whose executor has lost it."""
    found: list[type[Exception]] = [BrokenExecutor, CancelledError]
    distributed = sys.modules.get("distributed")
    if distributed is not None:  # only then can its errors come
        found += [distributed.KilledWorker, distributed.comm.CommClosedError]
    return tuple(found)

"""A running Dask cluster as an engine: the scheduler and the workers are somebody else's, here is the client.

Dask gives the task of a dead worker to another one by itself; after as many deaths as its setting ``allowed-failures``
says, it gives up, and the task is submitted anew as with any executor. The package ``distributed`` is imported when the
engine connects.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from freqcache.engines.executor import ATTEMPTS, ExecutorEngine
from freqcache.errors import BuildError
from freqcache.interruption import GOES_ON

if TYPE_CHECKING:
    from distributed import Client

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_TIMEOUT: Final = 10.0
_GOODBYE: Final = 2.0
_PER_THREAD: Final = 2
_LEAST: Final = 16
_LOOK_AGAIN: Final = 5.0
_SPEAKERS: Final = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado.application")

_log = logging.getLogger("freqcache")


class DaskEngine(ExecutorEngine):
    """Runs tasks by the workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str, path or distributed.Client
        Address of the scheduler (``tcp://10.0.0.1:8786``), the file that it writes with ``--scheduler-file``, or a
        client that is connected, and stays so.
    timeout : float
        Seconds to wait for the scheduler.
    attempts : int
        How often a task is submitted that Dask gives up.

    Notes
    -----
    Tasks on their way are two for each thread of the workers; workers may come and go.
    """

    def __init__(
        self, scheduler: str | os.PathLike[str] | Client, *, timeout: float = _TIMEOUT, attempts: int = ATTEMPTS
    ) -> None:
        self._scheduler = scheduler
        self._timeout = timeout
        self._client: Any = None
        self._threads, self._counted = 0, 0.0
        self._exit = ExitStack()
        super().__init__(_NOT_CONNECTED, attempts=attempts)

    def __enter__(self) -> Self:
        """Connect.

        Raises
        ------
        BuildError
            If ``distributed`` is not installed, or there is no scheduler.
        """
        with ExitStack() as stack:
            stack.enter_context(_silent())
            if isinstance(self._scheduler, (str, os.PathLike)):
                self._client = _connect(os.fspath(self._scheduler), self._timeout)
                stack.callback(self._client.close, timeout=_GOODBYE)
            else:
                self._client = self._scheduler
            self._exit = stack.pop_all()
        # Not pure: a task with the same description as one of an earlier build must run again.
        self._executor = self._client.get_executor(pure=False)
        self._counted = 0.0
        self.window()
        if not self._threads:
            _log.warning("%s has no worker yet: waiting for one", self._client.scheduler.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._exit.close()
        self._client, self._executor = None, _NOT_CONNECTED

    def visit(self, function: Callable[[_Task], _Result], task: _Task) -> Iterable[tuple[str, _Result | Exception]]:
        """Run one task in every worker; one that goes meanwhile is left out."""
        found = self._client.run(function, task, on_error="return")
        there = self._client.nthreads()
        return [(address, result) for address, result in found.items() if address in there]

    def cancel(self) -> None:
        """Cancel the tasks that are not done; a scheduler that is lost has forgotten them."""
        if self._client is None or self._is_lost():
            self._pending = {}
        super().cancel()

    def window(self) -> int:
        """Return how many tasks may be with the cluster now."""
        now = time.monotonic()
        if not self._counted or now - self._counted > _LOOK_AGAIN:
            self._threads, self._counted = self._count(), now
        return max(_LEAST, _PER_THREAD * self._threads)

    def _count(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except Exception:
            self._check_connection()
            raise

    def _is_lost(self) -> bool:
        return bool(self._client.status != "running")

    def _check_connection(self) -> None:
        if self._is_lost():
            msg = f"{self._name}: the connection to the Dask scheduler is lost; {GOES_ON}"
            raise BuildError(msg)

    @property
    def _name(self) -> str:
        return os.fspath(self._scheduler) if isinstance(self._scheduler, (str, os.PathLike)) else "Dask"


class _NotConnected:
    def submit(self, *_: object) -> Any:
        msg = "a DaskEngine is a context manager: with it, it connects"
        raise RuntimeError(msg)


_NOT_CONNECTED: Any = _NotConnected()


def _connect(scheduler: str, timeout: float) -> Any:
    """Return a client of a scheduler, by its address or its file."""
    try:
        import distributed
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        msg = "building on Dask needs the package distributed: pip install 'freqcache[dask]'"
        raise BuildError(msg) from error
    try:
        address = json.loads(Path(scheduler).read_bytes())["address"] if Path(scheduler).is_file() else scheduler
        get_address_host_port(address)  # a client that is made with a wrong one cannot be closed
    except (OSError, ValueError, LookupError, TypeError) as error:
        msg = f"{scheduler}: neither the address of a Dask scheduler, as tcp://10.0.0.1:8786, nor its file: {error}"
        raise BuildError(msg) from error
    client: Any = distributed.Client  # whose package is typed in parts
    try:
        return client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"{scheduler}: no Dask scheduler can be reached there: {error}"
        raise BuildError(msg) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Dask's client and its event loop from speaking on standard error: all of it comes as exceptions."""
    with suppress(ImportError):
        import distributed  # noqa: F401  (it sets these levels: first, so that ours are not lost)
    names = [logging.getLogger(name) for name in _SPEAKERS]
    before = [one.level for one in names]
    for one in names:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(names, before, strict=True):
            one.setLevel(level)

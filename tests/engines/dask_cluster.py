"""A Dask cluster of real processes on loopback, and what its workers tell (``gate.py``)."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from distributed import Client

TIMEOUT = 90
"""Seconds after which something counts as hanging."""


class Events:
    """Lines that workers write into a named pipe."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.path = pipe
        self.seen: list[list[str]] = []
        self._descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # for writing too: it never ends
        self._rest = b""

    def close(self) -> None:
        os.close(self._descriptor)

    def forget(self) -> None:
        """Begin anew."""
        self.drain()
        self.seen.clear()

    def drain(self) -> None:
        """Take what is there."""
        while select.select([self._descriptor], [], [], 0)[0]:
            self._take()

    def wait(self, enough: Callable[[list[list[str]]], bool]) -> None:
        """Take lines until there are enough."""
        while not enough(self.seen):
            assert select.select([self._descriptor], [], [], TIMEOUT)[0], f"nothing more after {self.seen}"
            self._take()

    def of(self, kind: str) -> list[list[str]]:
        """Return the words of all events of a kind."""
        return [words[1:] for words in self.seen if words[0] == kind]

    def _take(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._descriptor, 65_536)).split(b"\n")
        self.seen += [line.decode().split(" ") for line in lines]


class Gate:
    """A lock that shards wait for while it is closed."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("r+")

    def close(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def open(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def remove(self) -> None:
        self._file.close()


class Cluster:
    """A scheduler and workers of one thread each.

    Parameters
    ----------
    folder : path
        For their files.
    passing : int
        Number of the last shard of a split that a closed gate does not hold up.
    """

    def __init__(self, folder: Path, *, passing: int = -1) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.events = Events(folder / "events")
        self.gate = Gate(folder / "gate")
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {
            "FREQCACHE_EVENTS": str(self.events.path),
            "FREQCACHE_GATE": str(folder / "gate"),
            "FREQCACHE_PASS": str(passing),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._scheduler = self._start(["scheduler", "--host", "127.0.0.1", "--port", "0"])
        self.client = Client(scheduler_file=str(self.file), timeout=TIMEOUT, set_as_default=False)

    @property
    def address(self) -> str:
        return str(self.client.scheduler.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        for process in (*self.workers.values(), self._scheduler):
            process.kill()
            process.wait()
        self.events.close()
        self.gate.remove()

    def start_workers(self, count: int, *, prefix: Sequence[str] = (), release: str | None = None) -> list[int]:
        """Start workers, wait until they are there, and return their process numbers."""
        pretended = {} if release is None else {"FREQCACHE_RELEASE": release}
        options = {
            "--host": "127.0.0.1",
            "--nthreads": 1,
            "--memory-limit": 0,
            "--death-timeout": TIMEOUT,
            "--preload": Path(__file__).with_name("gate.py"),
            "--local-directory": self.folder / "spill",
        }
        words = ["worker", "--no-nanny", *(str(word) for pair in options.items() for word in pair)]
        started = [self._start(words, prefix, pretended) for _ in range(count)]
        self.workers |= {process.pid: process for process in started}
        there = sum(process.poll() is None for process in self.workers.values())
        self.client.wait_for_workers(there, timeout=TIMEOUT)
        return [process.pid for process in started]

    def tell_workers(self, environment: dict[str, str]) -> None:
        """Set variables in the environment of the workers that are there and of those to come."""
        self._environment |= environment
        self.client.run(exec, f"import os; os.environ.update({environment!r})")

    def kill(self, pid: int) -> None:
        """Kill a worker and wait for its end."""
        self.workers[pid].send_signal(signal.SIGKILL)
        self.workers.pop(pid).wait()

    def kill_scheduler(self) -> None:
        self._scheduler.kill()
        self._scheduler.wait()

    def _start(
        self, arguments: list[str], prefix: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [*prefix, sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(self.file)]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--no-dashboard"],
                stdout=log,
                stderr=log,
                env=self._environment | (environment or {}),
                start_new_session=True,
            )

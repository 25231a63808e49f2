"""Peak memory of this process and of its children, from Linux; and whether freed memory is used again.

getrusage would not do: a new process inherits the peak of the one that started it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL = 0.05
"""Seconds between two looks: the kernel keeps the peak, so only what a process takes just before it ends is missed."""

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Options of glibc's mallopt."""


def peak_memory(process: str) -> float:
    """Return the peak resident memory in MiB of a process, by its number or "self"; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


class WorkerMemory:
    """Watches this process's children while it holds.

    Attributes
    ----------
    peak : float
        MiB of the child that took most.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            for task in Path("/proc/self/task").iterdir():
                for child in _children(task):
                    self.peak = max(self.peak, peak_memory(child))


def _children(task: Path) -> list[str]:
    """Return the processes that a thread started; none if the thread has ended."""
    try:
        return (task / "children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def keep_freed_memory() -> None:
    """Let malloc keep from now on what is freed: arrays of any size then take no fresh pages (glibc)."""
    mallopt: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
    if not (mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1)):
        msg = "this C library's malloc cannot be told to keep freed memory"
        raise SystemExit(msg)

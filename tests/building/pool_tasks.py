"""Tasks for worker processes; a module of its own, because workers import no main module."""

from __future__ import annotations

import multiprocessing
import os
import signal

_LOCK = multiprocessing.Lock()
"""As some libraries make them when they are imported."""


def wait_for_ever(fifo: str) -> None:
    """Tell this process's number through a named pipe, and wait."""
    with open(fifo, "w") as pipe:  # noqa: PTH123
        pipe.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


def die_or_wait(task: tuple[int, bytes]) -> None:
    """End this process, for the first task, as the kernel does when memory runs out; wait for the others."""
    if task[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()


def interrupts_are_blocked(_: object) -> bool:
    """Whether this process never hears Ctrl-C."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

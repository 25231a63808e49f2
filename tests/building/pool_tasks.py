"""Tasks for worker processes; a module of its own, because workers import no main module."""

from __future__ import annotations

import os
import signal


def wait_for_ever(fifo: str) -> None:
    """Tell this process's number through a named pipe, and wait."""
    with open(fifo, "w") as pipe:  # noqa: PTH123
        pipe.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


def die(_: object) -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)

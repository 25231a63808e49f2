"""Takes turns among readers, and keeps each one's passes: what everything that measures reading shares.

A contender has a name and can run one pass, which is a fixed amount of reading. In every round each contender runs one
pass, and each round begins with another of them: whatever disturbs the machine for a while disturbs all alike. This
module imports nothing but the standard library, so that processes without this project's packages can import it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one pass took.

    Attributes
    ----------
    images : int
        Images that were read.
    seconds, cpu : float
        Wall-clock time, and CPU time of all threads of the process.
    asked : int
        Bytes that the process asked of files with system calls; bytes of mapped files do not count. 0 where the system
        does not say: only Linux does.
    fetched : int
        Bytes that had to come from the disk, read ahead included; 0 likewise.
    units : tuple of (int, float, float)
        Images, wall-clock time and CPU time of each unit, where the reader is in this process.
    """

    images: int
    seconds: float
    cpu: float
    asked: int = 0
    fetched: int = 0
    units: tuple[tuple[int, float, float], ...] = ()

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


class StoppedError(Exception):
    """A contender that cannot go on, with the reason."""


class Contender(Protocol):
    """Anything that can run passes."""

    name: str

    def run(self) -> Pass:
        """Run one pass.

        Raises
        ------
        StoppedError
            If this contender can run no more.
        """
        ...


def timed(work: Callable[[], int]) -> Pass:
    """Run a function that returns how many images it read, and return what that took."""
    gc.collect()
    before, start, cpu = _io(), time.perf_counter(), time.process_time()
    images = work()
    seconds, cpu, after = time.perf_counter() - start, time.process_time() - cpu, _io()
    return Pass(
        images=images,
        seconds=seconds,
        cpu=cpu,
        asked=after["rchar"] - before["rchar"],
        fetched=after["read_bytes"] - before["read_bytes"],
    )


def take_turns(
    contenders: Sequence[Contender],
    passes: int,
    *,
    stopped: Callable[[str, str], object],
    until: float | None = None,
    done: Callable[[int], object] = lambda _: None,
) -> dict[str, list[Pass]]:
    """Return each contender's passes, by name; one that stops in between keeps those that it finished.

    Parameters
    ----------
    contenders : sequence of Contender
        With different names.
    passes : int
        Rounds.
    stopped : callable
        Told the name of a contender that stops, and when and why.
    until : float, optional
        Time of ``time.perf_counter`` after which no pass begins, but for those of the first round.
    done : callable
        Told 1 after each pass.
    """
    results: dict[str, list[Pass]] = {contender.name: [] for contender in contenders}
    running = list(contenders)
    for number in range(passes):
        if not running:
            break
        first = number % len(running)
        for contender in (*running[first:], *running[:first]):
            if number and until is not None and time.perf_counter() > until:
                break
            try:
                results[contender.name].append(contender.run())
                done(1)
            except StoppedError as error:
                stopped(contender.name, f"left out from pass {number + 1} of {passes} on: {error}")
                running.remove(contender)
    return {name: found for name, found in results.items() if found}


def _io() -> dict[str, int]:
    """Return this process's counters of reading; zeros where the system keeps none."""
    path = Path("/proc/self/io")
    if not path.exists():
        return {"rchar": 0, "read_bytes": 0}
    lines = path.read_text(encoding="ascii").splitlines()
    return {key: int(value) for key, value in (line.split(": ") for line in lines)}

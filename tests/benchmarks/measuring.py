"""Takes turns among readers on one core, and keeps each one's passes: what the benchmarks of reading share.

A contender has a name and can run one pass, which is a fixed amount of reading. In every round each contender runs one
pass, and each round begins with another of them. A contender may live in another process (peers.py); this module
imports nothing but the standard library, so that such a process can import it.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Protocol

Read = Callable[[Sized], object]


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
        Bytes that the process asked of files with system calls; bytes of mapped files do not count.
    fetched : int
        Bytes that had to come from the disk, read ahead included.
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
        """Run one pass."""
        ...


class Local:
    """A reader in this process.

    Parameters
    ----------
    name : str
        As the tables call it.
    make : callable
        Returns a function that reads one unit.
    units : sequence
        What a pass reads, one after the other; the length of a unit is its number of images.
    before : callable, optional
        For cold passes: called before each, while the reader is closed; it is made anew then.
    """

    def __init__(
        self, name: str, make: Callable[[], Read], units: Sequence[Sized], before: Callable[[], object] | None = None
    ) -> None:
        self.name = name
        self._make, self._units, self._before = make, units, before
        self._warm: Read | None = None
        self._count = len(units)

    def settle(self, seconds: float, least: int) -> None:
        """Choose how many units a pass reads: about `seconds` while the page cache is warm, but `least` images."""
        read = self._make()
        for unit in (self._units[-1], self._units[0]):  # compiles, opens files
            read(unit)
        done, start = 0, time.perf_counter()
        while done < 1 or (time.perf_counter() - start < seconds / 10 and done < len(self._units)):
            read(self._units[-1 - done])
            done += 1
        each = (time.perf_counter() - start) / done
        enough = next(
            (n for n, total in enumerate(accumulate(map(len, self._units)), 1) if total >= least), len(self._units)
        )
        self._count = min(len(self._units), max(enough, round(seconds / each)))
        self._warm = None if self._before else read

    def run(self) -> Pass:
        """Run one pass."""
        if self._before:
            self._before()
        read = self._warm or self._make()
        if self._before:
            read(self._units[-1])  # opening files and reading metadata is not the pass's
        units = self._units[: self._count]

        took = []

        def work() -> int:
            for unit in units:
                start, cpu = time.perf_counter(), time.process_time()
                read(unit)
                took.append((len(unit), time.perf_counter() - start, time.process_time() - cpu))
            return sum(map(len, units))

        return replace(timed(work), units=tuple(took))


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


def take_turns(contenders: Sequence[Contender], passes: int) -> dict[str, list[Pass]]:
    """Return each contender's passes; one that stops in between keeps those that it finished, and it is said so."""
    results: dict[str, list[Pass]] = {contender.name: [] for contender in contenders}
    running = list(contenders)
    for number in range(passes):
        first = number % len(running)
        for contender in (*running[first:], *running[:first]):
            try:
                results[contender.name].append(contender.run())
            except StoppedError as error:
                print(f"\n{contender.name}: left out from pass {number + 1} of {passes} on: {error}", flush=True)
                running.remove(contender)
        if not running:
            break
    return {name: found for name, found in results.items() if found}


def best(passes: Iterable[Pass]) -> Pass:
    """Return the fastest pass."""
    return max(passes, key=lambda found: found.rate)


def steady(passes: Sequence[Pass], first: int | None = None) -> Pass:
    """Return the pass that the best times of single units make: other processes disturb some units, seldom all.

    With `first`, of that many units only: readers of the same units compare by those that all of them read.
    """
    units = [
        (column[0][0], min(unit[1] for unit in column), min(unit[2] for unit in column))
        for column in zip(*(found.units[:first] for found in passes), strict=True)
    ]
    images, seconds, cpu = (sum(unit[i] for unit in units) for i in range(3))
    return Pass(images=int(images), seconds=seconds, cpu=cpu, units=tuple(units))


def least_cpu(passes: Iterable[Pass]) -> float:
    """Return the least CPU seconds an image of any pass."""
    return min(found.cpu / found.images for found in passes)


def pin(core: int | None) -> int:
    """Bind this process and its children to one core, by default the last one allowed; return it."""
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def unpin(cores: set[int]) -> None:
    """Let this process run on `cores`, with the threads that it has already: a thread keeps the core it began on."""
    for task in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def write_json(path: Path, results: dict[str, dict[str, list[Pass]]]) -> None:
    """Write every pass of every table, without the times of single units."""
    document = {
        title: {name: [asdict(replace(found, units=())) for found in passes] for name, passes in table.items()}
        for title, table in results.items()
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _io() -> dict[str, int]:
    """Return this process's counters of reading, from Linux."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return {key: int(value) for key, value in (line.split(": ") for line in lines)}

"""What the benchmarks share beside :mod:`freqcache.benchmarking.passes`: local contenders, and the best of passes.

A contender may also live in another process (peers.py).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path

from freqcache.benchmarking import passes as passes_of
from freqcache.benchmarking.passes import Contender, Pass, timed

Read = Callable[[Sized], object]


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


def take_turns(contenders: Sequence[Contender], passes: int) -> dict[str, list[Pass]]:
    """Return each contender's passes; where one stops in between, say so."""
    return passes_of.take_turns(contenders, passes, stopped=lambda name, why: print(f"\n{name}: {why}", flush=True))


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

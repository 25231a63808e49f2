"""What the number of samples of a store costs who reads it: opening, the first batch, every further sample.

    python tests/benchmarks/bench_large.py NATIVE FIXED WORK --samples 1000 10000 100000 1000000 10000000

NATIVE and FIXED are stores whose first shards are full (of 512 samples or more); WORK gets stores of them repeated
(large_store.py), each removed after its turn unless --keep. Every number is measured in a process of its own, which has
read a batch of a store of the smallest size before: imports and compiling are not in it. Processor time is given
beside the time on the clock, for machines that are shared. Shards are names of one file:
what is measured is the cost of their number, not of a disk. Prints a Markdown table for each kind; seconds, MiB of
memory that the step added, microseconds for a sample.

order: the epoch's order of a FrequencyLoader, which is whole arrays of all samples by design. groups: random row
groups, 8 in a call; single: one random sample in a call; both of the loader's first way through, with every chunk of
the per-sample arrays still to be read, and again when all are known.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from large_store import make_large_store

import freqcache
from freqcache.loading.loader import FrequencyLoader
from freqcache.store.packing import pack

CHANNELS = "24"
GROUPS, TOGETHER, SINGLE = 160, 8, 100


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


class Steps:
    """Seconds, and MiB added, of one step after the other."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self._start()

    def _start(self) -> None:
        self._memory, self._time, self._work = resident(), time.perf_counter(), time.process_time()

    def done(self, name: str, per: int = 0) -> None:
        """Note a step that ends now; with `per`, also in microseconds for each of so many samples."""
        seconds, work = time.perf_counter() - self._time, time.process_time() - self._work
        self.found[f"{name}, s"], self.found[f"{name}, MiB"] = seconds, resident() - self._memory
        self.found[f"{name}, CPU s"] = work
        if per:
            self.found[f"{name}, CPU us a sample"] = work / per * 1e6
        self._start()


def measure(path: Path, small: Path) -> dict[str, float]:
    """Return what a store costs, after a look at a small one."""
    walk(small, Steps())
    pack(np.zeros((5000, 3), dtype=np.int64))
    steps = Steps()
    walk(path, steps)
    return steps.found


def walk(path: Path, steps: Steps) -> None:
    """Open a store and read of it."""
    generator = np.random.default_rng(1)
    store = freqcache.open(path)
    split = store[store.splits[0]]
    split.open()
    steps.done("open")
    starts = split.values("row_group_start")
    mask = freqcache.ChannelMask.preset(CHANNELS)
    split.read(np.arange(starts[0], starts[1]), mask)
    steps.done("first group", int(starts[1]))
    chosen = [generator.integers(0, len(starts) - 1, TOGETHER) for _ in range(GROUPS // TOGETHER)]
    calls = [np.concatenate([np.arange(starts[g], starts[g + 1]) for g in some]) for some in chosen]
    samples = sum(map(len, calls))
    singles = generator.integers(0, split.metadata.slots, SINGLE)
    steps.done("between")
    for name in ("groups, first", "groups"):
        for slots in calls:
            split.read(slots, mask)
        steps.done(name, samples)
    for name in ("single, first", "single"):
        for slot in singles.tolist():
            split.read([slot], mask)
        steps.done(name, SINGLE)
    every = np.arange(0, split.metadata.slots, 65_536)
    split.take(split._READING, every)
    steps.done("all chunks", split.metadata.slots)
    for slot in generator.integers(0, split.metadata.slots, SINGLE).tolist():
        split.read([slot], mask)
    steps.done("single, all known", SINGLE)
    del split
    dataset = freqcache.FrequencyDataset(path, split=store.splits[0], channels=CHANNELS)
    steps.done("dataset")
    loader = FrequencyLoader(dataset, 64, shuffle=True, access="groups", prefetch=0)
    steps.done("loader")
    next(iter(loader))
    steps.done("first batch")


def table(results: dict[int, dict[str, float]]) -> None:
    """Print what was measured, a column for each number of samples, and the last as a multiple of the first."""
    numbers = list(results)
    print(f"| | {' | '.join(f'{n:,}' for n in numbers)} |\n|---|{'---:|' * len(numbers)}")
    for name in results[numbers[0]]:
        if not name.startswith("between"):
            print(f"| {name} | {' | '.join(f'{results[n][name]:.4g}' for n in numbers)} |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path, nargs=2, metavar="STORE")
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--samples", type=int, nargs="+", default=[10**n for n in range(3, 8)])
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    for base in options.stores:
        results: dict[int, Any] = {}
        paths = {n: options.work / f"{base.stem}-{n}.zarr" for n in options.samples}
        small = paths[min(options.samples)]
        for n, path in paths.items():
            if not (path / "zarr.json").exists():
                shutil.rmtree(path, ignore_errors=True)
                make_large_store(base, path, n)
            call = f"bench_large.measure(Path({str(path)!r}), Path({str(small)!r}))"
            code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_large, json; "
            code += f"from pathlib import Path; print(json.dumps({call}))"
            run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            results[n] = json.loads(run.stdout)
            if not options.keep and path != small:
                shutil.rmtree(path)
        print(f"{base.name}, {CHANNELS} channels\n")
        table(results)


if __name__ == "__main__":
    main()

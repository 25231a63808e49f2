"""What a whole build costs, from files to a finished native store, against Pillow merely decoding the same files.

    python tests/benchmarks/bench_build.py SOURCE WORK --count 1024 --passes 5

SOURCE is a folder of JPEG files; WORK gets `count` images made of them (bench_images.py) and a store that is thrown
away. On one core and from a warm page cache, the build, the mere reading of coefficients and Pillow's decoding take
turns; then it is shown where the time of a build goes; then fresh processes build with one worker and with two, on all
cores, and say how much memory they took. Prints Markdown tables. Two workers share shards of about 512 images, so
`count` should be a multiple of 1,024. --count 64 --passes 2 is a smoke run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bench_images
from measuring import best, least_cpu, pin, take_turns
from memory import WorkerMemory, peak_memory
from parts import clocks
from PIL import Image

import freqcache
from freqcache.benchmarking import page_cache
from freqcache.benchmarking.passes import Pass, timed
from freqcache.extraction import ExtractionOptions
from freqcache.jpeg import read_coefficients

BUILD, COEFFICIENTS, PILLOW = "freqcache build, files to store", "freqcache, reading coefficients only", "Pillow to RGB"


class Task:
    """A contender whose pass is one call; `before` is not timed."""

    def __init__(self, name: str, work: Callable[[], int], before: Callable[[], object] | None = None) -> None:
        self.name, self._work, self._before = name, work, before

    def run(self) -> Pass:
        """Run one pass."""
        if self._before:
            self._before()
        return timed(self._work)


def build(images: Path, out: Path, workers: int) -> int:
    """Build a native store with no image reduced; return the number of images, all of which must be in it."""
    options = freqcache.BuildOptions(extraction=ExtractionOptions(max_size=None))
    report = freqcache.build(images, out, options, workers=workers, quiet=True)
    if report.n_failed:
        msg = f"{report.n_failed} of the files could not be used: {report.ledger}"
        raise SystemExit(msg)
    return report.n_samples


def remove(out: Path) -> None:
    """Remove the store of the pass before."""
    if out.exists():
        shutil.rmtree(out)


def one_core(images: Path, out: Path, passes: int) -> None:
    """Print the table of the build, its largest part, and Pillow."""
    files = bench_images.jpeg_files(images)

    def pillow() -> int:
        for path in files:
            Image.open(path).convert("RGB").load()
        return len(files)

    def coefficients() -> int:
        for path in files:
            read_coefficients(path.read_bytes())
        return len(files)

    tasks = [
        Task(BUILD, lambda: build(images, out, 1), lambda: remove(out)),
        Task(COEFFICIENTS, coefficients),
        Task(PILLOW, pillow),
    ]
    read_coefficients(files[0].read_bytes())
    results = take_turns(tasks, passes)
    stored = sum(path.stat().st_size for path in page_cache.files_below(out)) / sum(
        path.stat().st_size for path in files
    )
    print(f"\nThe store has {stored:.2f} times the bytes of the files.")
    print("\n| one core, page cache warm | images/s | CPU ms/image | its time / Pillow's | by CPU |")
    print("|---|---|---|---|---|")
    for name, found in results.items():
        wall, cpu = best(results[PILLOW]).rate / best(found).rate, least_cpu(found) / least_cpu(results[PILLOW])
        print(f"| {name} | {best(found).rate:.0f} | {least_cpu(found) * 1e3:.2f} | {wall:.2f} | {cpu:.2f} |")


def fresh(images: Path, out: Path, workers: int) -> None:
    """In a process of its own: build once, and print what that took as JSON."""
    imported, cpu, start = peak_memory("self"), time.process_time(), time.perf_counter()
    with WorkerMemory() as memory:
        count = build(images, out, workers)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    document = {
        "rate": count / seconds,
        "cpu": (cpu + children.ru_utime + children.ru_stime) / count,
        "memory": [imported, peak_memory("self"), memory.peak],
    }
    print(json.dumps(document))


def processes(images: Path, out: Path, passes: int, cores: int) -> None:
    """Print the table of one worker and two, each in fresh processes on all cores, in turns."""
    found: dict[int, list[dict]] = {1: [], 2: []}
    for _ in range(passes):
        for workers, known in found.items():
            remove(out)
            command = [sys.executable, __file__, str(images), str(out), "--fresh", str(workers)]
            known.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    print(f"\n| whole call in a fresh process, {cores} cores | images/s | CPU ms/image | peak memory, MiB |")
    print("|---|---|---|---|")
    for workers, known in found.items():
        imported, own, worker = (max(entry["memory"][i] for entry in known) for i in range(3))
        memory = f"{own:.0f} ({imported:.0f} before the build)"
        if workers > 1:
            memory += f", and {worker:.0f} the largest worker" if worker else ", and no worker was needed"
        rate, cpu = max(entry["rate"] for entry in known), min(entry["cpu"] for entry in known)
        print(f"| {workers} worker{'s' if workers > 1 else ''} | {rate:.0f} | {cpu * 1e3:.2f} | {memory} |")
    one, two = (max(entry["rate"] for entry in found[workers]) for workers in (1, 2))
    print(f"\nTwo workers build {two / one:.2f} times as fast as one, start-up included.")


def where(images: Path, out: Path, passes: int) -> None:
    """Print the parts of the fastest of several builds in this process."""
    runs = []
    for _ in range(passes):
        remove(out)
        with clocks() as found:
            start = time.perf_counter()
            count = build(images, out, 1)
            runs.append((time.perf_counter() - start, found))
    whole, found = min(runs, key=lambda run: run[0])
    print(f"\n| part of the build ({whole / count * 1e3:.2f} ms an image) | µs an image | share |\n|---|---|---|")
    rest = whole - sum(found.seconds.values())
    for part, seconds in sorted(found.seconds.items(), key=lambda item: -item[1]):
        print(f"| {part} | {seconds / count * 1e6:.0f} | {seconds / whole:.1%} |")
    print(f"| the rest | {rest / count * 1e6:.0f} | {rest / whole:.1%} |")
    if found.missing:
        print(f"\nNot in this version, so counted as their callers': {', '.join(found.missing)}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--core", type=int, help="by default the last one")
    parser.add_argument("--fresh", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fresh:
        fresh(options.source, options.work, options.fresh)
        return
    cores = os.sched_getaffinity(0)
    core = pin(options.core)
    images, out = options.work / f"images-{options.count}", options.work / "built.zarr"
    files = bench_images.make(options.source, images, options.count)
    page_cache.warm(files)
    mean = sum(path.stat().st_size for path in files) / len(files) / 1024
    print(f"{len(files)} JPEG files of {mean:.1f} KiB, best of {options.passes} passes, core {core}")
    one_core(images, out, options.passes)
    where(images, out, options.passes)
    os.sched_setaffinity(0, cores)
    processes(images, out, options.passes, len(cores))
    remove(out)


if __name__ == "__main__":
    main()

"""What a build costs from each kind of source, against the same images in a folder.

    python tests/benchmarks/bench_sources.py FOLDER WORK --passes 5

FOLDER is a source folder; WORK gets the same images in the other kinds, and a store that is thrown away. On one core
and from a warm page cache, whole native builds by one worker take turns. Then it is shown what reading alone costs, in
the listing's order and in that of a build: the reason why Parquet is spooled. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import cold  # noqa: E402
from made_sources import items_of, write_manifest, write_parquet, write_saved, write_tars  # noqa: E402
from measuring import Pass, best, least_cpu, pin, take_turns, timed  # noqa: E402

import freqcache  # noqa: E402
from freqcache.sources import list_source  # noqa: E402

FOLDER = "folder"


class Build:
    """A contender whose pass is one build."""

    def __init__(self, name: str, source: Callable[[], Any], out: Path) -> None:
        self.name, self._source, self._out = name, source, out

    def run(self) -> Pass:
        """Build once; every image must be in the store."""
        shutil.rmtree(self._out, ignore_errors=True)
        return timed(self._build)

    def _build(self) -> int:
        report = freqcache.build(self._source(), self._out, workers=1, quiet=True)
        if report.n_failed:
            msg = f"{self.name}: {report.n_failed} images failed: {report.ledger}"
            raise SystemExit(msg)
        return report.n_samples


def make(folder: Path, work: Path) -> dict[str, Path]:
    """Write the sources that are not there yet; return them by name."""
    kinds: dict[str, tuple[str, Callable[[Path], Path]]] = {
        "manifest": ("list.csv", lambda out: write_manifest(folder.resolve(), out)),
        "tars of 1,000": ("tars", lambda out: write_tars(folder, out, per_tar=1000)),
        "Parquet, row groups of 100": ("parquet-100", lambda out: write_parquet(folder, out, row_group_size=100)),
        "Parquet, row groups of 1,000": ("parquet-1000", lambda out: write_parquet(folder, out, row_group_size=1000)),
        "save_to_disk": ("saved", lambda out: write_saved(folder, out, per_batch=1000)),
    }
    work.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, (file_name, write) in kinds.items():
        made[name] = work / file_name
        if not made[name].exists():
            write(made[name])
    return made


def builds(folder: Path, sources: dict[str, Path], out: Path, passes: int) -> None:
    """Print the table of whole builds."""
    contenders = [Build(FOLDER, lambda: folder, out)]
    contenders += [Build(name, lambda path=path: path, out) for name, path in sources.items()]
    contenders.append(Build("items of a generator", lambda: items_of(folder, names=True), out))
    contenders[0].run()  # compiles
    results = take_turns(contenders, passes)
    print("\n| whole build, one worker | images/s | CPU ms/image | its time / the folder's | by CPU |")
    print("|---|---|---|---|---|")
    for name, found in results.items():
        wall, cpu = best(results[FOLDER]).rate / best(found).rate, least_cpu(found) / least_cpu(results[FOLDER])
        print(f"| {name} | {best(found).rate:.0f} | {least_cpu(found) * 1e3:.2f} | {wall:.2f} | {cpu:.2f} |")


def reading(folder: Path, sources: dict[str, Path], count: int) -> None:
    """Print the table of reading alone."""
    print(f"\n| reading alone | listing, µs/image | in order, µs/image | shuffled ({count} images), µs/image |")
    print("|---|---|---|---|")
    for name, path in {FOLDER: folder, **sources}.items():
        start = time.process_time()
        tree = list_source(path)
        files = [file for listed in tree.splits.values() for file in listed]
        listing = (time.process_time() - start) / len(files)
        costs = []
        for order in (files, random.Random(0).sample(files, min(count, len(files)))):
            start = time.process_time()
            for file in order:
                tree.reader.read(file)
            costs.append((time.process_time() - start) / len(order))
        print(f"| {name} | {listing * 1e6:.0f} | {costs[0] * 1e6:.0f} | {costs[1] * 1e6:.0f} |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--core", type=int, help="by default the last one")
    options = parser.parse_args()
    sources = make(options.folder, options.work)
    core = pin(options.core)
    for path in (options.folder, *sources.values()):
        cold.warm(cold.files_below(path) if path.is_dir() else [path])
    files = list(cold.files_below(options.folder))
    mean = sum(path.stat().st_size for path in files) / len(files) / 1024
    print(f"{len(files)} files of {mean:.1f} KiB, best of {options.passes} passes, core {core}, {os.cpu_count()} cores")
    builds(options.folder, sources, options.work / "built.zarr", options.passes)
    reading(options.folder, sources, 200)
    shutil.rmtree(options.work / "built.zarr")


if __name__ == "__main__":
    main()

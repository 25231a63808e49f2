"""What listing and planning cost for each file name, from ten thousand names to ten million, and how much memory.

    python tests/benchmarks/bench_listing.py WORK
    python tests/benchmarks/bench_listing.py WORK --names 1000000 --source folder
    python tests/benchmarks/bench_listing.py WORK --names 1000000 --finish --size 64

Each number of names is measured by a process of its own, which makes the names in WORK: a manifest of files that are
not there (what the system says of a file, and headers, are made up), or with ``--source folder`` a folder of empty
files. Stages: list (the listing, with the fingerprint), find (1,000 names, and the index that they are found by), plan
(headers that cost nothing, shuffle, row groups, layout), shards (every description of a shard, as workers get it),
finish (with ``--finish``: per-sample arrays, of records that are made up). Of each, CPU seconds for a million names and
the peak of the resident memory. Prints Markdown tables. Ten million names take 3 GB in WORK.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

NAMES = (10_000, 100_000, 1_000_000, 10_000_000)
CLASSES = 1000
LOOKED_UP = 1000


def name(number: int) -> str:
    """Return a file's path, 39 bytes as ImageNet's are."""
    return f"train/n{number % CLASSES:08}/n{number % CLASSES:08}_{number:09}.JPEG"


def write_manifest(work: Path, count: int) -> Path:
    """Write a manifest; its files are not there."""
    path = work / "list.tsv"
    with path.open("w", encoding="utf-8") as file:
        file.write("path\tlabel\n")
        for number in range(count):
            file.write(f"{name(number)}\tn{number % CLASSES:08}\n")
    return path


def write_folder(work: Path, count: int) -> Path:
    """Write a folder of empty files."""
    for number in range(min(count, CLASSES)):
        (work / name(number)).parent.mkdir(parents=True)
    for number in range(count):
        os.close(os.open(work / name(number), os.O_CREAT | os.O_WRONLY))
    return work


def measure(work: Path, count: int, source: str, size: int | None, *, finish: bool) -> dict[str, tuple[float, float]]:
    """Return of each stage the CPU seconds for a million names and the peak in MiB; this process must be fresh."""
    from freqcache.building import headers, plan
    from freqcache.building.finish import write_split
    from freqcache.building.form import StoreForm
    from freqcache.building.gathering import gather
    from freqcache.building.options import BuildOptions
    from freqcache.planning.memory import forget_peak, peak
    from freqcache.sources import list_source, manifest
    from freqcache.workers import Pool

    place = write_manifest(work, count) if source == "manifest" else write_folder(work / "images", count)
    if source == "manifest":
        made_up = SimpleNamespace(st_size=110_000, st_mtime_ns=1_700_000_000_123_456_789)
        manifest.os = SimpleNamespace(path=os.path, stat=lambda _: made_up)  # type: ignore[attr-defined]
    draw = random.Random(0)
    plan.inspect = lambda *_: (rows := 30 + int(draw.random() * 60), rows // 4, rows // 4)  # type: ignore[attr-defined]
    options = BuildOptions(size=size)
    form = StoreForm.of_build(options)
    stages: dict[str, tuple[float, float]] = {}

    def stage(title: str, work_of: Callable[[], Any]) -> Any:
        forget_peak()
        began = time.process_time()
        result = work_of()
        stages[title] = ((time.process_time() - began) / count * 1e6, peak() / 2**20)
        return result

    def listed() -> Any:
        tree = list_source(place, scratch=work)
        plan.fingerprint(tree, options)
        return tree

    def planned() -> Any:
        with Pool(1) as pool:
            plans, refused = headers.plan_splits(tree, options, form, pool, scratch=work, quiet=True)
        if refused:
            sys.exit(f"refused: {refused[0]}")
        plan.layout(plans)
        return plans

    stage("start", lambda: None)
    tree = stage("list", listed)
    if source == "manifest":
        place.unlink()  # only its place on the disk counts from here on
    numbers = random.Random(1).sample(range(count), min(count, LOOKED_UP))
    if stage("find", lambda: sum(tree.find(name(number)) is not None for number in numbers)) != len(numbers):
        sys.exit("names are not found")
    (split,) = stage("plan", planned)
    slots = stage("shards", lambda: sum(len(group) for n in range(split.n_shards) for group in split.shard_groups(n)))
    if slots != count:
        sys.exit(f"{slots} slots of {count} names")
    if finish:
        (work / "store").mkdir()
        stage("finish", lambda: write_split(work / "store", split, gather(records(split, form), form, work), form))
    return stages


def records(split: Any, form: Any) -> Iterator[Any]:
    """Yield records of shards as if all samples were alike."""
    from freqcache.building.records import ShardRecord
    from freqcache.statistics import Accumulator
    from freqcache_formats.layout import DIGEST_BYTES, per_slot_arrays

    draw = np.random.default_rng(0)
    for shard in range(split.n_shards):
        starts = split.shard_starts(shard)
        n = int(starts[-1] - starts[0])
        samples = {k: np.zeros((n, *a.shape), dtype=a.dtype) for k, a in per_slot_arrays(form.kind).items()}
        samples["source_digest"] = draw.integers(0, 256, (n, DIGEST_BYTES), dtype=np.uint8)
        arrays = len(split.arrays)
        yield ShardRecord(
            samples=samples,
            statistics=Accumulator(len(form.channels)).sums,
            files={
                "shard_digest": np.zeros((arrays, DIGEST_BYTES), dtype=np.uint8),
                "shard_bytes": np.ones(arrays, dtype=np.int64),
            },
            failures=(),
            saturated=0,
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--names", type=int, nargs="+", default=NAMES)
    parser.add_argument("--source", choices=("manifest", "folder"), default="manifest")
    parser.add_argument("--size", type=int, help="of a fixed store; a native one by default")
    parser.add_argument("--finish", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        (count,) = options.names
        print(json.dumps(measure(options.work, count, options.source, options.size, finish=options.finish)))
        return
    found: dict[int, dict[str, tuple[float, float]]] = {}
    for count in options.names:
        work = options.work / f"names-{count}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        arguments = ["--names", str(count), "--source", options.source, *(["--finish"] if options.finish else [])]
        arguments += [] if options.size is None else ["--size", str(options.size)]
        command = [sys.executable, __file__, str(work), "--child", *arguments]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found[count] = json.loads(output.splitlines()[-1])
        shutil.rmtree(work)
        print(f"{count} names: {found[count]}", file=sys.stderr)
    titles = list(next(iter(found.values())))
    for what, place in (("CPU seconds for a million names", 0), ("peak of the resident memory, MiB", 1)):
        print(f"\n| {what} | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}")
        for count, stages in found.items():
            print(f"| {count:,} | {' | '.join(f'{stages[title][place]:.1f}' for title in titles)} |")


if __name__ == "__main__":
    main()

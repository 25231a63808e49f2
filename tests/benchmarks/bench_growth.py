"""What an image costs in builds of 10^3, 10^4, ... images: flat, if nothing grows with the number of images.

    python tests/benchmarks/bench_growth.py WORK --counts 1000 10000 100000 1000000

WORK gets a folder of small made-up photographs, links to them as sources of so many images each, and stores that are
thrown away. Each build is a process of its own with one worker, which works in that process. Prints a Markdown table:
microseconds of CPU an image in each stage, and the process' peak memory. --counts 200 is a smoke run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import freqcache

_PHOTOGRAPHS = 1000
_SIDE = 64
_CLASSES = 100


def make_photographs(folder: Path) -> list[Path]:
    """Make JPEG files of smooth noise, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    made = []
    for number in range(_PHOTOGRAPHS):
        path = folder / f"{number:04}.jpg"
        if not path.exists():
            coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            buffer = io.BytesIO()
            coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
            path.write_bytes(buffer.getvalue())
        made.append(path)
    return made


def make_source(folder: Path, photographs: list[Path], count: int) -> Path:
    """Make a folder of class folders with `count` links to the photographs."""
    if not folder.exists():
        for label in range(_CLASSES):
            (folder / f"{label:03}").mkdir(parents=True)
        for number in range(count):
            os.link(photographs[number % len(photographs)], folder / f"{number % _CLASSES:03}" / f"{number:09}.jpg")
    return folder


def build(source: Path, out: Path) -> None:
    """Build in this process; print what it took, as JSON."""
    cpu = time.process_time()
    report = freqcache.build(source, out, workers=1, quiet=True)
    found = {
        "stages": report.stages,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "samples": report.n_samples,
    }
    print(json.dumps(found))


def row(work: Path, photographs: list[Path], count: int, warm: bool) -> None:
    """Build `count` images in a process of its own, and print its row of the table."""
    source, out = make_source(work / f"source-{count}", photographs, count), work / "out.zarr"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, str(source), "--build", str(out)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found["samples"] != count:
        msg = f"{count} images, but {found['samples']} samples"
        raise SystemExit(msg)
    if not warm:
        stages = (found["stages"][name] for name in ("listing", "headers", "shards", "finish"))
        cells = [f"{seconds / count * 1e6:.0f}" for seconds in stages]
        print(f"| {count:,} | {' | '.join(cells)} | {found['cpu'] / count * 1e6:.0f} | {found['peak'] / 2**20:.0f} |")
    shutil.rmtree(out)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.work, arguments.build)
        return
    photographs = make_photographs(arguments.work / "photographs")
    row(arguments.work, photographs, min(arguments.counts), warm=True)  # what is compiled once is compiled now
    print("| images | listing, us an image | headers | shards | finish | CPU of all, us an image | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.counts:
        row(arguments.work, photographs, count, warm=False)


if __name__ == "__main__":
    main()

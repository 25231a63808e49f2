"""Images a second from a cache to a network's input, against Pillow doing the same from the JPEG files.

    python tests/benchmarks/bench_transform.py SOURCE WORK --count 4000 --passes 5

SOURCE is a folder of JPEG files. WORK keeps what is made of them, if it is not there yet: `count` images
(bench_images.py), a native and a fixed cache of them. One core, one thread, page cache warm. All ways take turns, pass
by pass, and each unit's best time counts; a unit is some row groups (by default one), of which one batch is made:

- Pillow and torch: decode, random crop resized to 224 (the same boxes), mirror, normalize;
- the native cache: read, the same boxes resized to 448 on coefficients (56x56 blocks), mirror, normalize;
- the same from the fixed cache; crops that are fixed; reading alone.

Then: what builds spend on resizing, what large batches cost in fresh memory, where the time of the transform goes.
Prints Markdown tables. Not measured: the network, copies to a device, several threads, cold files; FrequencyLoader's
order and its window. --count 64 --passes 2 is a smoke run.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path

import bench_images
import numpy as np
import numpy.typing as npt
import torch
from measuring import pin, steady, take_turns
from memory import keep_freed_memory
from pipelines import (
    Indices,
    Pillow,
    Pipeline,
    evaluation,
    plain,
    same_sizes,
    seeded,
    training,
    units_of,
)
from resize_cost import cost
from stores import make_hot_store, make_stores
from transform_parts import where

from freqcache import FrequencyDataset
from freqcache.benchmarking import page_cache
from freqcache.benchmarking.passes import Pass
from freqcache.crops import CentreCrop, RandomResizedCrop
from freqcache.transforms import ColourJitter, TrainTransform

SIDE = 448
RANDOM, CENTRE = RandomResizedCrop(size=SIDE), CentreCrop(size=SIDE)
Float = npt.NDArray[np.float64]
COLOURS = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4)
PILLOW = "Pillow and torch: RandomResizedCrop 224, mirror"
LAX = 0.2
"""Twice the default tolerance."""

PARTS_UNITS = 24
LARGE = 12
"""Row groups of a batch of about 256 images."""


def native(store: Path, channels: str, policy: str = "exact", **options: float) -> FrequencyDataset:
    """Open the native cache for random crops."""
    return FrequencyDataset(store, split="all", channels=channels, crop=RANDOM, policy=policy, **options)


def pipelines(stores: dict[str, Path], images: Path, together: int) -> list[Pipeline]:
    """Return all ways."""
    exact, fast = (native(stores["native"], "24", policy) for policy in ("exact", "fast"))
    fixed = {crop: FrequencyDataset(stores["fixed"], split="all", channels="24", crop=crop) for crop in (None, RANDOM)}
    whole = {crop: FrequencyDataset(stores["native"], split="all", channels="24", crop=crop) for crop in (None, CENTRE)}
    files = same_sizes(exact, images)
    units, squares = (units_of(dataset.row_groups, together) for dataset in (exact, fixed[None]))
    faster = native(stores["native"], "24", "fast", tolerance=LAX)
    describe(exact, fast, faster)
    ways = {
        PILLOW: Pillow(files, RandomResizedCrop(size=224)),
        "native, 24 channels, exact": training(exact),
        "native, 24, exact, colours": training(exact, colour=COLOURS),
        "native, 24, fast": training(fast),
        "native, 24, fast, colours": training(fast, colour=COLOURS),
        f"native, 24, fast, tolerance {LAX}": training(faster),
        "native, 24, exact, hot copy of all channels": training(native(make_hot_store(stores["native"]), "24")),
        "native, 64, exact": training(native(stores["native"], "64")),
        "native, 192, exact": training(native(stores["native"], "192")),
        "fixed 448, 24, exact": training(fixed[RANDOM]),
        "Pillow and torch: resize to 256, centre 224": Pillow(files, CentreCrop(size=224, resize=256)),
        "native, 24, centre, exact": evaluation(whole[CENTRE]),
        "fixed 448, 24, as stored, normalized": plain(fixed[None], normalized=True),
        "native, 24, read only": plain(whole[None], normalized=False),
        "fixed 448, 24, read only": plain(fixed[None], normalized=False),
    }
    return [Pipeline(name, way, squares if name.startswith("fixed") else units) for name, way in ways.items()]


def describe(*datasets: FrequencyDataset) -> None:
    """Print what the policies read."""
    for dataset in datasets:
        reading = dataset.reading
        policy = "exact" if reading.policy == "exact" else f"fast, tolerance {dataset.tolerance}"
        counts = ", ".join(str(len(frequencies)) for frequencies in reading.channels.frequencies)
        kib, error = dataset.bytes_per_image / 1024, reading.error
        print(f"24 channels, {policy}: reads {counts} frequencies of Y, Cb, Cr, {kib:.1f} KiB an image;")
        print(
            f"  expected error {error.max():.3f} of the deviation in the worst channel, {error.mean():.3f} in the mean"
        )


def table(ways: Sequence[Pipeline], results: dict[str, list[Pass]]) -> None:
    """Print each way's rate, its division, and its rate against Pillow's of random crops."""
    peer = steady(results[PILLOW])
    cells = ["images/s", "CPU ms an image", "reading", "transforming", "its rate / Pillow's", "by CPU"]
    print(f"\n| {' | '.join(['', *cells])} |\n|{'---|' * 7}")
    for way in ways:
        found = steady(results[way.name])
        share = way.least_reading() / found.seconds
        ratios = found.rate / peer.rate, peer.cpu / found.cpu
        values = [f"{found.rate:,.0f}", f"{found.cpu / found.images * 1e3:.3f}", f"{share:.0%}", f"{1 - share:.0%}"]
        print(f"| {' | '.join([way.name, *values, *(f'{ratio:.2f}' for ratio in ratios)])} |", flush=True)


def batch_sizes(stores: dict[str, Path], passes: int) -> dict[tuple[str, int], Float]:
    """Return the least CPU seconds an image of reading and of transforming, by channels and images in a batch."""
    found = {}
    for channels, together in product(("24", "192"), (1, LARGE)):
        dataset = native(stores["native"], channels)
        transform = TrainTransform.of(dataset).train()
        units = units_of(dataset.row_groups, together)[: max(2, 96 // together)]
        images = sum(map(len, units))
        least = [_cpu_seconds(dataset, transform, units) for _ in range(passes + 1)][1:]
        found[channels, images // len(units)] = np.min(least, axis=0) / images
    return found


def memory_table(stores: dict[str, Path], passes: int) -> None:
    """Print how batches of one row group and of many compare, in fresh memory and in memory that is used again.

    From then on this process keeps its memory.
    """
    fresh = batch_sizes(stores, passes)
    keep_freed_memory()
    kept = batch_sizes(stores, passes)
    cells = ["reading, CPU µs an image", "transforming", "reading, memory used again", "transforming, used again"]
    print(f"\n| {' | '.join(['channels', 'images in a batch', *cells])} |\n|{'---|' * 6}")
    for (channels, images), parts in fresh.items():
        values = [f"{value * 1e6:.0f}" for value in (*parts, *kept[channels, images])]
        print(f"| {channels} | {images} | {' | '.join(values)} |", flush=True)


def _cpu_seconds(dataset: FrequencyDataset, transform: TrainTransform, units: Sequence[Indices]) -> list[float]:
    total = np.zeros(2)
    for number, unit in enumerate(units):
        marks = [time.process_time()]
        batch = dataset.read_batch(unit)
        marks.append(time.process_time())
        transform(batch, seeded(number))
        marks.append(time.process_time())
        total += np.diff(marks)
    return list(total)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=4000, help="images to make of SOURCE")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--groups", type=int, default=1, help="row groups of a batch")
    parser.add_argument("--build-count", type=int, default=1024, help="images of the table of builds")
    parser.add_argument("--core", type=int, help="by default the last one")
    parser.add_argument("--workers", type=int, default=1, help="for building the caches, on that core or not")
    options = parser.parse_args()
    core = pin(options.core)
    torch.set_num_threads(1)
    images = options.work / f"images-{options.count}"
    files = bench_images.make(options.source, images, options.count)
    stores = make_stores(images, options.work, options.workers)
    page_cache.warm([*files, *(path for store in stores.values() for path in page_cache.files_below(store))])
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown processor")
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "numba", "pillow"))
    print(f"{len(files)} JPEG files, best of {options.passes} passes; {processor}, core {core}")
    print(f"Python {platform.python_version()}, {names}")
    ways = pipelines(stores, images, options.groups)
    table(ways, take_turns(ways, options.passes))
    fewer = options.work / f"images-{min(options.build_count, options.count)}"
    page_cache.warm(bench_images.make(options.source, fewer, min(options.build_count, options.count)))
    cost(fewer, options.work / "built.zarr", options.passes)
    memory_table(stores, options.passes)
    exact = native(stores["native"], "24")
    columns = {"24, exact": exact, "24, fast": native(stores["native"], "24", "fast")}
    columns |= {f"{channels}, exact": native(stores["native"], channels) for channels in ("64", "192")}
    # In memory that is kept: fresh pages would count as the output's.
    where(columns, units_of(exact.row_groups)[:PARTS_UNITS], options.passes)


if __name__ == "__main__":
    main()

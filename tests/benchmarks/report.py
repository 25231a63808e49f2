"""The words and Markdown tables of the benchmarks of reading."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measuring import best, least_cpu, steady

from freqcache.benchmarking import page_cache
from freqcache.benchmarking.passes import Pass

Results = dict[str, list[Pass]]


def head(title: str, first: Sequence[str], *, is_cold: bool = False) -> None:
    """Begin a table whose rows begin with the cells `first`."""
    disk = ["KiB from disk"] if is_cold else []
    cells = [*first, "images/s", "CPU µs/image", "KiB read", *disk, "ours / it", "ours / it by CPU"]
    print(f"\n**{title}**\n\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")


def rows(
    first: Sequence[str], results: Results, ours: str, *, kib: Mapping[str, float] | None = None, is_cold: bool = False
) -> None:
    """Print a row for each reader: its rate, its CPU time, and `ours` against it; above 1, ours is faster.

    Without `kib`, all readers read the same units: each unit's best time counts, ratios are of the units that both
    read, and KiB are what system calls read for an image. With `kib`, which then says them, the best pass counts.
    """
    for name, passes in results.items():
        fastest = best(passes)
        if kib is None:
            shared = min(len(passes[0].units), len(results[ours][0].units))
            shown, it, our = steady(passes), steady(passes, shared), steady(results[ours], shared)
            rate, cpu, asked = shown.rate, shown.cpu / shown.images, fastest.asked / fastest.images / 1024
            ratios = it.seconds / our.seconds, it.cpu / our.cpu
        else:
            rate, cpu, asked = fastest.rate, least_cpu(passes), kib[name]
            ratios = best(results[ours]).rate / rate, cpu / least_cpu(results[ours])
        cells = [*first, name, f"{rate:.0f}", f"{cpu * 1e6:.1f}", f"{asked:.1f}"]
        if is_cold:
            cells.append(f"{fastest.fetched / fastest.images / 1024:.1f}")
        print(f"| {' | '.join([*cells, *(f'{ratio:.2f}' for ratio in ratios)])} |", flush=True)


def describe(files: Sequence[Path], passes: int, core: int, library: Any) -> None:
    """Print what is measured, and on what."""
    mean = sum(path.stat().st_size for path in files) / len(files) / 1024
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown processor")
    names = ("numpy", "numcodecs", "zarr", "zarrs", "tensorstore", "pillow")
    print(f"{len(files)} JPEG files of {mean:.1f} KiB, {passes} passes; {processor}, core {core}")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}")
    print(f"C: libzstd {library.zstd_version().decode()}, libblosc {library.blosc_version().decode()}")


def check_dropping(store: Path) -> None:
    """Print how much of a store the page cache holds before and after it is dropped."""
    files = page_cache.files_below(store)
    page_cache.warm(files)
    before = page_cache.resident(files)
    page_cache.drop(files)
    print(
        f"Cold: by mincore, {before:.1%} of a store's pages are in memory once read, "
        f"{page_cache.resident(files):.1%} after the drop"
    )

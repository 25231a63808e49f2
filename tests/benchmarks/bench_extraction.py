"""Images a second that readers of JPEG coefficients reach, on one core, in memory.

    python tests/benchmarks/bench_extraction.py FOLDER

reads every baseline JPEG file of a folder with each reader in turn, several times over, and sums each image's best
time; then the same files made progressive by jpegtran; then with two threads against one. Prints Markdown tables.
The practical limit is a C function over libjpeg-turbo that reads the coefficients and touches each block
(libjpeg_limit.c beside this file, compiled here).
"""

from __future__ import annotations

import argparse
import ctypes
import io
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jpeglib
import numpy as np
from PIL import Image

from freqcache.jpeg import read_coefficients, read_header

HERE = Path(__file__).parent
Reader = Callable[[int], object]


def limit_reader(folder: Path) -> Callable[[bytes], int]:
    """Compile the C function; return it as one of the file's bytes."""
    library = folder / "limit.so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", str(HERE / "libjpeg_limit.c"), "-o", str(library), "-ljpeg"], check=True
    )
    function = ctypes.CDLL(str(library)).read_and_touch
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_char_p, ctypes.c_ulong]
    return lambda data: function(data, len(data))


def pillow_rgb(data: bytes) -> None:
    """Decode to RGB pixels."""
    Image.open(io.BytesIO(data)).convert("RGB").load()


def jpeglib_reader(paths: list[Path], version: str) -> Reader:
    """Reader of one version of jpeglib, which takes only files and decodes when its planes are asked for."""

    def read(index: int) -> object:
        jpeglib.version.set(version)
        return jpeglib.read_dct(str(paths[index])).Y

    return read


def best_times(readers: dict[str, Reader], count: int, passes: int) -> dict[str, float]:
    """Sum of each image's best time by reader, the readers taking turns at each image."""
    best = {name: np.full(count, np.inf) for name in readers}
    for _ in range(passes):
        for index in range(count):
            for name, reader in readers.items():
                start = time.perf_counter()
                reader(index)
                best[name][index] = min(best[name][index], time.perf_counter() - start)
    return {name: float(times.sum()) for name, times in best.items()}


def table(title: str, times: dict[str, float], count: int) -> None:
    """Print images a second, and freqcache's relation to each reader."""
    ours = times["freqcache"]
    print(f"\n| {title} | images/s | freqcache / it |\n|---|---|---|")
    for name, seconds in times.items():
        print(f"| {name} | {count / seconds:.0f} | {seconds / ours:.2f} |")


def threads(readers: dict[str, Callable[[bytes], object]], files: list[bytes], passes: int) -> None:
    """Print the rates of one thread and of two, each the best of several runs that take turns."""
    best = {(name, workers): np.inf for name in readers for workers in (1, 2)}
    for _ in range(passes):
        for (name, workers), known in best.items():
            with ThreadPoolExecutor(workers) as pool:
                start = time.perf_counter()
                for _ in pool.map(readers[name], files * 2):
                    pass
                best[name, workers] = min(known, time.perf_counter() - start)
    print("\n| threads | one, images/s | two, images/s | two / one |\n|---|---|---|---|")
    for name in readers:
        one, two = (2 * len(files) / best[name, workers] for workers in (1, 2))
        print(f"| {name} | {one:.0f} | {two:.0f} | {two / one:.2f} |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--only-ours", action="store_true", help="freqcache and the limit alone")
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    paths = [p for p in paths if not read_header(p).progressive]
    files = [p.read_bytes() for p in paths]
    print(f"{len(files)} baseline files, {sum(map(len, files)) / 1e6:.1f} MB, best of {options.passes}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit = limit_reader(folder)
        readers: dict[str, Reader] = {
            "libjpeg-turbo in C, touching each block (limit)": lambda i: limit(files[i]),
            "freqcache": lambda i: read_coefficients(files[i]),
        }
        if not options.only_ours:
            readers |= {
                "Pillow to RGB": lambda i: pillow_rgb(files[i]),
                "jpeglib, default (6b)": jpeglib_reader(paths, "6b"),
                "jpeglib, turbo210": jpeglib_reader(paths, "turbo210"),
            }
        best_times(readers, min(10, len(files)), 1)
        table("baseline files", best_times(readers, len(files), options.passes), len(files))
        if shutil.which("jpegtran"):
            progressive = [
                subprocess.run(["jpegtran", "-progressive", str(p)], capture_output=True, check=True).stdout
                for p in paths
            ]
            readers = {
                "libjpeg-turbo in C, touching each block (limit)": lambda i: limit(progressive[i]),
                "freqcache": lambda i: read_coefficients(progressive[i]),
                "Pillow to RGB": lambda i: pillow_rgb(progressive[i]),
            }
            best_times(readers, min(10, len(files)), 1)
            table("the same made progressive", best_times(readers, len(files), options.passes), len(files))
        threads({"libjpeg-turbo in C": limit, "freqcache": read_coefficients}, files, options.passes)


if __name__ == "__main__":
    main()

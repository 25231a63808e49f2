"""Images a second that writers of JPEG files reach, on one core: freqcache from coefficients, and others.

    python tests/benchmarks/bench_writing.py FOLDER

takes every JPEG file of a folder in YCbCr or gray, and writes it again: freqcache from its coefficients, in memory;
Pillow from its pixels, with the same tables and sampling, in memory; jpeglib from its coefficients, to a file, which is
all it does; jpegtran, where there is one, as a process. The writers take turns at each image, several times over, and
each image's best time counts. Prints a Markdown table, and how many bytes each wrote.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jpeglib
import numpy as np
from PIL import Image

from freqcache.jpeg import JpegCoefficients, read_coefficients
from freqcache.jpeg.writer import write_coefficients

SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}


class Job:
    """One image, and every way to write it; each returns how many bytes it wrote."""

    def __init__(self, path: Path, image: JpegCoefficients, target: Path) -> None:
        self.path, self.image, self.target = path, image, target
        with Image.open(path) as opened:
            opened.load()
            self.pixels = opened.copy()
            self.tables = opened.quantization
        first = image.components[0]
        self.subsampling = SUBSAMPLING.get((first.h, first.v), 0)
        jpeglib.version.set("turbo210")
        self.dct = jpeglib.read_dct(str(path))
        _ = self.dct.Y  # decoded when first asked for

    def freqcache(self) -> int:
        return len(write_coefficients(self.image.components, width=self.image.width, height=self.image.height))

    def pillow(self, *, optimize: bool) -> int:
        buffer = io.BytesIO()
        self.pixels.save(buffer, "JPEG", qtables=self.tables, subsampling=self.subsampling, optimize=optimize)
        return buffer.tell()

    def jpeglib(self) -> int:
        self.dct.write_dct(str(self.target))
        return self.target.stat().st_size

    def jpegtran(self) -> int:
        return len(subprocess.run(["jpegtran", "-optimize", str(self.path)], capture_output=True, check=True).stdout)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--step", type=int, default=1, help="take every STEP-th file")
    options = parser.parse_args()
    writers: dict[str, Callable[[Job], int]] = {
        "freqcache": Job.freqcache,
        "Pillow, optimize=True": lambda job: job.pillow(optimize=True),
        "Pillow, standard codes": lambda job: job.pillow(optimize=False),
        "jpeglib, turbo210, to a file": Job.jpeglib,
    }
    if shutil.which("jpegtran"):
        writers["jpegtran -optimize, a process"] = Job.jpegtran
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:: options.step]
    times: dict[str, list[float]] = {name: [] for name in writers}
    sizes = dict.fromkeys(writers, 0)
    count, source = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            image = read_coefficients(path)
            if image.color_space not in ("YCbCr", "gray"):
                continue
            job = Job(path, image, Path(folder) / "out.jpg")
            count, source = count + 1, source + path.stat().st_size
            best = dict.fromkeys(writers, np.inf)
            for number in range(options.passes):
                for name, writer in writers.items():
                    start = time.perf_counter()
                    size = writer(job)
                    best[name] = min(best[name], time.perf_counter() - start)
                    sizes[name] += size if number == 0 else 0
            for name, seconds in best.items():
                times[name].append(seconds)
    ours = sum(times["freqcache"])
    print(f"{count} files, {source / 1e6:.1f} MB, best of {options.passes}")
    print("\n| writer | images/s | freqcache / it | bytes / the originals' |\n|---|---|---|---|")
    for name, found in times.items():
        print(f"| {name} | {count / sum(found):.0f} | {sum(found) / ours:.2f} | {sizes[name] / source:.3f} |")


if __name__ == "__main__":
    main()

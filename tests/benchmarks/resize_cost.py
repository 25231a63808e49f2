"""What a build spends on bringing images to another size, against Pillow resizing decoded pixels to the same one.

The builds are whole ones, with clocks around the operator and the quantization; CPU time of one thread. Pillow resizes
RGB pixels that it has just decoded, with the same filter; cutting out the square is part of the resize (`box`), and
decoding is not counted. What freqcache does besides, and Pillow does not: coefficients, not pixels, are the result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import bench_images
import numpy as np
from bench_build import remove
from parts import clocks
from PIL import Image

import freqcache
from freqcache.crops import CentreCrop
from freqcache.extraction import ExtractionOptions
from freqcache.resampling.planes import reduced_size

SIZE, MAX_SIZE = 448, 256
BUILDS = {
    f"to a square of {SIZE} (`build --size {SIZE}`)": (
        freqcache.BuildOptions(size=SIZE),
        {
            "resampling": ["freqcache.building.files:to_fixed_grid"],
            "quantization": ["freqcache.building.files:quantize_fixed"],
        },
    ),
    f"to fit {MAX_SIZE} (`build --max-size {MAX_SIZE}`)": (
        freqcache.BuildOptions(extraction=ExtractionOptions(max_size=MAX_SIZE)),
        {"resampling": ["freqcache.extraction:reduce_to_fit"], "quantization": ["freqcache.extraction:quantize"]},
    ),
}


def build(images: Path, out: Path, options: freqcache.BuildOptions, parts: Mapping[str, Sequence[str]]) -> list[float]:
    """Return the CPU seconds that a build takes: each part, and the whole."""
    remove(out)
    start = time.process_time()
    with clocks(parts, time.process_time) as found:
        freqcache.build(images, out, options, workers=1, quiet=True)
    if found.missing:
        msg = f"this version has no {', '.join(found.missing)}: bring tests/benchmarks/resize_cost.py up to date"
        raise SystemExit(msg)
    return [*found.seconds.values(), time.process_time() - start]


def pillow(files: Sequence[Path]) -> list[float]:
    """Return the CPU seconds of decoding, and of each resize."""
    seconds = np.zeros(3)
    for path in files:
        marks = [time.process_time()]
        rgb = Image.open(path).convert("RGB")
        marks.append(time.process_time())
        _square(rgb)
        marks.append(time.process_time())
        size = reduced_size(*rgb.size, MAX_SIZE)
        if size != rgb.size:
            rgb.resize(size, Image.Resampling.BILINEAR)
        marks.append(time.process_time())
        seconds += np.diff(marks)
    return list(seconds)


def _square(rgb: Image.Image) -> Image.Image:
    """Resize the short side and cut the centre out, in one: only the pixels of the square are computed."""
    width, height = (np.array([n]) for n in rgb.size)
    crops = CentreCrop(size=SIZE).draw(width, height)
    across, down = (float(n[0]) for n in (crops.width / crops.n_columns, crops.height / crops.n_rows))
    left, top = crops.first_column[0] * across, crops.first_row[0] * down
    box = (left, top, min(left + SIZE * across, rgb.width), min(top + SIZE * down, rgb.height))
    return rgb.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)


def cost(images: Path, out: Path, passes: int) -> None:
    """Print the table; builds and Pillow take turns."""
    files = bench_images.jpeg_files(images)
    rounds = [[pillow(files), *(build(images, out, *found) for found in BUILDS.values())] for _ in range(passes)]
    remove(out)
    decoding, *resizes = np.min([found[0] for found in rounds], axis=0) / len(files) * 1e3
    cells = ["resampling, CPU ms an image", "quantization", "whole build", "Pillow's resize", "resampling / Pillow's"]
    print(f"\n{len(files)} files; Pillow's decoding takes {decoding:.2f} ms an image.")
    print(f"\n| {' | '.join(['', *cells, 'with quantization'])} |\n|{'---|' * 7}")
    for number, name in enumerate(BUILDS):
        part, rounding, whole = np.min([found[1 + number] for found in rounds], axis=0) / len(files) * 1e3
        pixels = resizes[number]
        ratios = part / pixels, (part + rounding) / pixels
        values = (part, rounding, whole, pixels, *ratios)
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |", flush=True)

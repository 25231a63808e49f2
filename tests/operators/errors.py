"""Measures random resized crops of real photographs against the same steps in pixels: the table of docs/operators.md.

    python tests/operators/errors.py FOLDER [--files 100]

Two comparisons. *Unclipped*: scipy's inverse DCT, numpy's interpolation of chroma, crop, Pillow's resize of float
samples, mirror, scipy's DCT: what the operator claims to be. *Pillow*: decoding to RGB, crop, resize, mirror, all in
8 bits; YCbCr without rounding: what a pixel pipeline has.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from freqcache.batches import FrequencyBatch
from freqcache.crops import RandomResizedCrop
from freqcache.resampling.operator import resample
from tests.operators.conftest import Oracle
from tests.operators.images import ALL, in_pixels

_FROM_RGB = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
NAMES = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0"}


def batch_of(path: Path) -> FrequencyBatch:
    """Read one file with jpeglib into a batch of one image."""
    decoded = Oracle.read(path)
    planes = decoded.planes
    steps = np.ones((1, 3, 64), np.float32)
    sampling = np.zeros((1, 3, 2), np.uint8)
    blocks = np.zeros((1, 3, 2), np.int32)
    for component, plane in enumerate(planes):
        steps[0, component] = decoded.steps[component]
        sampling[0, component] = decoded.sampling[component]
        blocks[0, component] = plane.shape[1:]
    flats = [torch.from_numpy(np.ascontiguousarray(plane, np.int16).reshape(-1)) for plane in planes]
    return FrequencyBatch(
        channels=ALL,
        parts=(tuple(flats + [torch.zeros(0, dtype=torch.int16)] * (3 - len(flats))),),
        part=np.zeros(1, np.intp),
        quantization=torch.from_numpy(steps),
        labels=torch.zeros(1, dtype=torch.int64),
        starts=np.zeros((1, 3), np.int64),
        blocks=blocks,
        sampling=sampling,
        width=np.array([decoded.width], np.int32),
        height=np.array([decoded.height], np.int32),
    )


def compare(path: Path, size: int, seed: int) -> tuple[str, float, np.ndarray] | None:
    """Return the sampling, the largest coefficient error without clipping, and the errors in levels of RGB's YCbCr."""
    batch = batch_of(path)
    if not batch.sampling[0, 1, 0]:
        return None
    crops = RandomResizedCrop(size=size).draw(batch.width, batch.height, torch.Generator().manual_seed(seed))
    top, left, height, width = (int(getattr(crops, n)[0]) for n in ("top", "left", "height", "width"))
    step = -1 if crops.flip[0] else 1
    found = resample(batch, crops, ALL)[0].numpy()
    worst = 0.0
    for component, plane in enumerate(in_pixels(Oracle, batch, 0)):
        resized = Oracle.resize(plane[top : top + height, left : left + width], size, size)[:, ::step]
        difference = found[64 * component :][:64] - Oracle.block_dct(resized)
        worst = max(worst, float(np.abs(difference).max()))
    with Image.open(path) as image:
        part = image.convert("RGB").crop((left, top, left + width, top + height))
    rgb = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR), np.float64)[:, ::step]
    planes = np.moveaxis(rgb @ _FROM_RGB.T, -1, 0)
    planes[1:] += 128
    decoded = np.stack([Oracle.block_idct(found[64 * c : 64 * c + 64]) for c in range(3)])
    return NAMES.get(tuple(batch.sampling[0, 0]), "other"), worst, decoded - planes


def main() -> None:
    """Print a row for each sampling and size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100)
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    paths = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, arguments.files).astype(int))]
    print("| sampling, size | photographs | unclipped, largest coefficient error | Pillow, mean | > 3 levels | PSNR |")
    print("|---|---|---|---|---|---|")
    for size in (224, 448):
        rows = defaultdict(list)
        for seed, path in enumerate(paths):
            result = compare(path, size, seed)
            if result is not None:
                rows[result[0]].append(result[1:])
        for name, results in sorted(rows.items()):
            worst = max(coefficient for coefficient, _ in results)
            mean = np.mean([np.abs(levels).mean() for _, levels in results])
            beyond = np.mean([(np.abs(levels) > 3).mean() for _, levels in results])
            ratios = [10 * np.log10(255**2 / np.mean(levels**2)) for _, levels in results]
            ratio = f"{np.mean(ratios):.1f} / {min(ratios):.1f} dB"
            print(f"| {name}, {size} | {len(results)} | {worst:.1e} | {mean:.2f} | {beyond:.2%} | {ratio} |")


if __name__ == "__main__":
    main()

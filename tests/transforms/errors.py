"""Measures what colours of coefficients differ by from colours of pixels: the table of docs/operators.md.

    python tests/transforms/errors.py FOLDER [--count 100]

FOLDER is a folder of JPEG files, at any depth; of each, the whole blocks are taken. The coefficients of its RGB pixels,
by scipy's DCT and JFIF's equations, are changed in float32 with random factors in 0.6..1.4, and compared

- with the coefficients of the pixels that were changed in float64 by torchvision's formulas, without clipping;
- after scipy's inverse DCT and clipping, with the pixels that Pillow makes of the same factors, rounding and clipping.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from freqcache.transforms import ColourJitter  # noqa: E402
from tests.transforms.spectra import forward, inverse, rgb_from_ycc, ycc_from_rgb  # noqa: E402
from tests.transforms.test_colour import COLOUR, NAMES, PILLOW, PIXELS, coefficients, factors, photograph  # noqa: E402

JITTER = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4)
ROWS = {**{name: (name,) for name in NAMES}, "the three in this order": NAMES}


def compare(rgb: np.ndarray, values: dict[str, float]) -> tuple[float, np.ndarray, float]:
    """Largest error of a coefficient, errors of every 8-bit value, and the share of values that clip."""
    pixels, image = rgb.astype(np.float64), Image.fromarray(rgb.transpose(1, 2, 0))
    for name, ratio in values.items():
        pixels = PIXELS[name](pixels, ratio)
        image = PILLOW[name](image).enhance(ratio)
    found = COLOUR.adjust(coefficients(rgb), factors(values))[0].double().numpy()
    levels = rgb_from_ycc(inverse(found))
    clips = np.mean((levels < -0.01) | (levels > 255.01))
    errors = np.clip(levels, 0, 255) - np.asarray(image).transpose(2, 0, 1)
    return np.abs(found - forward(ycc_from_rgb(pixels))).max(), errors, clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})[: arguments.count]
    drawn = JITTER.draw(len(files), torch.Generator().manual_seed(0))
    print(f"{len(files)} photographs")
    for row, names in ROWS.items():
        results = []
        for i, path in enumerate(files):
            results.append(compare(photograph(path), {name: float(getattr(drawn, name)[i]) for name in names}))
        exact, errors, clips = zip(*results, strict=True)
        mean = np.mean([np.abs(e).mean() for e in errors])
        bias = np.mean([e.mean() for e in errors])
        most = np.max([np.abs(e).max() for e in errors])
        print(
            f"{row}: coefficients {max(exact):.1e}; levels: mean {mean:.2f}, bias {bias:.2f}, max {most:.1f}; "
            f"clipped {np.mean(clips):.1%}"
        )


if __name__ == "__main__":
    main()

"""Measures what ``policy="fast"`` loses on images that were not planned with: a table of docs/operators.md.

    python tests/dataset/reading_errors.py STORE [STORE ...]

128 random images of each store, two draws of crops that planning does not know; 24 channels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import freqcache
from freqcache import FrequencyDataset
from freqcache.crops import CentreCrop, Crop, RandomResizedCrop
from freqcache.resampling.operator import resample

CROPS: dict[str, Crop] = {
    "random to 448": RandomResizedCrop(size=448),
    "centre 448 of 512": CentreCrop(size=448, resize=512),
    "random to 224": RandomResizedCrop(size=224),
}


def measured(fast: FrequencyDataset, exact: FrequencyDataset, crop: Crop, items: np.ndarray) -> np.ndarray:
    """Return the root mean square error of each channel, as a share of its deviation."""
    errors, values = [], []
    for seed in (0, 1):
        for start in range(0, len(items), 64):
            some = items[start : start + 64]
            batches = [dataset.read_batch(some) for dataset in (fast, exact)]
            generator = torch.Generator().manual_seed(10_000 * (seed + 1) + start)
            crops = crop.draw(batches[0].width, batches[0].height, generator)
            part, whole = (resample(batch, crops, fast.channels) for batch in batches)
            errors.append((part - whole).double().square().mean(dim=(0, 2, 3)))
            values.append(whole)
    return (torch.stack(errors).mean(dim=0) / torch.cat(values).double().var(dim=(0, 2, 3))).sqrt().numpy()


def main() -> None:
    """Print a row for each store, crop and tolerance."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stores", nargs="+", type=Path)
    print("| cache, crop | tolerance | read of Y, Cb, Cr | worst, expected | measured | all, expected | measured |")
    print("|---|---|---|---|---|---|---|")
    for path in parser.parse_args().stores:
        split = freqcache.open(path).splits[0]
        for name, crop in CROPS.items():
            options = {"split": split, "channels": "24", "crop": crop}
            exact = FrequencyDataset(path, **options)
            items = np.random.default_rng(0).choice(len(exact), min(128, len(exact)), replace=False)
            for tolerance in (0.2, 0.1, 0.03):
                fast = FrequencyDataset(path, policy="fast", tolerance=tolerance, **options)
                found = measured(fast, exact, crop, items)
                read = ", ".join(str(len(f)) for f in fast.source_channels.frequencies)
                numbers = [fast.reading.error.max(), found.max()]
                numbers += [np.sqrt((e**2).mean()) for e in (fast.reading.error, found)]
                row = [f"{path.stem}, {name}", f"{tolerance}", read, *(f"{n:.3f}" for n in numbers)]
                print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()

"""Batches for a training step, by the loader: what stands between a dataset and a network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor

from freqcache import FrequencyDataset, FrequencyLoader
from freqcache.transforms import TrainTransform

Batch = tuple[Any, Tensor]


def batches(dataset: FrequencyDataset, size: int, **options: Any) -> Iterator[Batch]:
    """Yield full batches in random order for ever."""
    if len(dataset) < size:
        msg = f"{dataset.cache_path}: expected at least the {size} images of a batch, found {len(dataset)}"
        raise SystemExit(msg)
    loader = FrequencyLoader(dataset, size, shuffle=True, drop_last=True, **options)
    for epoch in count():
        loader.set_epoch(epoch)
        yield from loader


def inputs(dataset: FrequencyDataset, transform: TrainTransform, size: int, device: torch.device) -> Iterator[Batch]:
    """Yield a network's inputs on a device: transformed where the transform is, coefficients or inputs copied there."""
    if transform.factor.device.type == device.type:
        yield from batches(dataset, size, device=device, transform=transform)
        return
    for x, labels in batches(dataset, size, transform=transform):
        yield x.to(device, non_blocking=True), labels.to(device, non_blocking=True)

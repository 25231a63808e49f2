"""What a loader's batches hold: items known by their coefficients, whether dense or of their own grids."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photographs import write_tree
from torch import Tensor

import freqcache
import freqcache.building.plan as plan_module
from freqcache import FrequencyDataset
from freqcache.batches import FrequencyBatch

KINDS = ("fixed", "native")


def build_stores(folder: Path, per_class: int = 14) -> Path:
    """Build a fixed and a native store of few samples in many small row groups and shards."""
    write_tree(folder / "photos", splits=(".",), per_class=per_class)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "ROW_GROUP_SAMPLES", 4)
        patch.setattr(plan_module, "ROW_GROUP_BLOCKS", 150)
        patch.setattr(plan_module, "SHARD_SAMPLES", 8)
        for kind, size in zip(KINDS, (40, None), strict=True):
            options = freqcache.BuildOptions(size=size, exact=size is not None)
            freqcache.build(folder / "photos", folder / f"{kind}.zarr", options, workers=1, quiet=True)
    return folder


def contents(coefficients: Tensor | FrequencyBatch) -> list[Hashable]:
    """Return each image of a batch as something to compare: coefficients, and of a native one steps and geometry."""
    if isinstance(coefficients, Tensor):
        return [image.numpy().tobytes() for image in coefficients]
    return [
        (
            *(plane.tobytes() for plane in sample.coefficients),
            *(plane.shape for plane in sample.coefficients),
            *(np.asarray(steps).tobytes() for steps in sample.quantization),
            *(np.asarray(frequencies).tobytes() for frequencies in sample.frequencies),
            *(sample.width, sample.height, sample.sampling.tobytes(), label),
        )
        for sample, label in coefficients
    ]


@lru_cache(maxsize=64)
def _known(dataset: FrequencyDataset) -> dict[Hashable, int]:
    everything = range(len(dataset))
    whole = dataset.read(everything) if dataset.has_grid else dataset.read_batch(everything)
    known = {content: item for item, content in enumerate(contents(whole))}
    assert len(known) == len(dataset) > 0
    return known


def visit(dataset: FrequencyDataset, batch: tuple[Any, Tensor]) -> list[int]:
    """Return the items of a batch, each exactly as a full read has it, with its label."""
    coefficients, labels = batch
    items = [_known(dataset)[content] for content in contents(coefficients)]
    assert labels.dtype == torch.int64
    assert labels.tolist() == dataset.labels[items].tolist()
    if isinstance(coefficients, FrequencyBatch):
        assert torch.equal(coefficients.labels, labels)
    return items


def visits(dataset: FrequencyDataset, batches: Iterable[tuple[Any, Tensor]]) -> list[list[int]]:
    """Return the items of each batch."""
    return [visit(dataset, batch) for batch in batches]


def flat(batches: Iterable[list[int]]) -> list[int]:
    return [item for batch in batches for item in batch]

"""The mean and the deviation that each channel is normalized with: a cache's own, or published ones by name.

A cache's are the true statistics of coefficients. What the DCTNet repository publishes as "std" is the deviation over
images of each image's mean, smaller by a factor of 2 to 70; it is here to run the published checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch
from freqcache.crops import Crop
from freqcache.resampling.operator import resample
from freqcache.spread import spread
from freqcache_formats.mask import ChannelMask

Kind: TypeAlias = Literal["cache", "dctnet"]

LEAST_DEVIATION: Final = 1e-3
"""Deviations below are what is left of float32 arithmetic: the channel does not vary."""

_DCTNET: Final = "dctnet_statistics.json"
_SAMPLES: Final = 512
_AT_A_TIME: Final = 64

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """Mean and standard deviation of dequantized coefficients.

    Attributes
    ----------
    mean, std : (C,) float32
        In the order of the channels that they were made for.
    kind : str
        ``"cache"``: of a cache's training split; ``"dctnet"``: as published.
    """

    mean: Tensor
    std: Tensor
    kind: Kind = "cache"

    @classmethod
    def dctnet(cls, channels: ChannelMask) -> Normalization:
        """Return the numbers of the DCTNet repository (Xu et al., CVPR 2020) for some channels.

        They are of dequantized coefficients of JPEG files of quality 100, level shift 128.
        """
        document = json.loads(resources.files("freqcache").joinpath(_DCTNET).read_text(encoding="utf-8"))
        natural = torch.from_numpy(channels.natural_indices)
        mean, std = (torch.tensor(document[name], dtype=torch.float32)[natural] for name in ("mean", "std"))
        return cls(mean=mean, std=std, kind="dctnet")

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return scale and offset, (C,) float32 each: ``x * scale + offset`` is normalized.

        A channel whose deviation is 0 carries nothing and becomes ``x - mean``.
        """
        divisor = torch.where(self.std > 0, self.std, torch.ones_like(self.std)).double()
        return (1 / divisor).float(), (-self.mean.double() / divisor).float()

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a checkpoint."""
        return {"kind": self.kind, "mean": self.mean, "std": self.std}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Normalization:
        """Return the normalization of a checkpoint's entry."""
        return cls(mean=document["mean"], std=document["std"], kind=document["kind"])


def measure(
    read: Callable[[npt.NDArray[np.intp]], FrequencyBatch],
    n_items: int,
    crop: Crop,
    channels: ChannelMask,
    *,
    threads: int = 1,
) -> tuple[Float, Float]:
    """Measure what a crop makes of up to 512 items spread over a split; random crops by a fixed seed.

    Parameters
    ----------
    read : callable
        Reads items.
    n_items : int
        Items there are.
    crop : Crop
        What becomes of them.
    channels : ChannelMask
        The channels wanted.
    threads : int
        For the resampling.

    Returns
    -------
    mean, std : (channels,) float64
        0 for the deviation of a channel that does not vary.
    """
    chosen = spread(n_items, _SAMPLES)
    total, squares, n = np.zeros(len(channels)), np.zeros(len(channels)), 0
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(chosen), _AT_A_TIME):
        batch = read(chosen[start : start + _AT_A_TIME])
        crops = crop.draw(batch.width, batch.height, generator)
        values = resample(batch, crops, channels, threads=threads).double()
        total += values.sum(dim=(0, 2, 3)).numpy()
        squares += values.square().sum(dim=(0, 2, 3)).numpy()
        n += values[:, 0].numel()
    mean = total / max(1, n)
    std = np.sqrt(np.maximum(squares / max(1, n) - mean**2, 0))
    return mean, np.where(std > LEAST_DEVIATION, std, 0)

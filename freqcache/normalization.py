"""The mean and the deviation that each channel is normalized with: a cache's own, or published ones by name.

A cache's are the true statistics of coefficients. What the DCTNet repository publishes as "std" is the deviation over
images of each image's mean, smaller by a factor of 2 to 70; it is here to run the published checkpoints.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

from freqcache_formats.mask import ChannelMask

Kind: TypeAlias = Literal["cache", "dctnet"]

_DCTNET: Final = "dctnet_statistics.json"


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

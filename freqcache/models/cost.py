"""What a network costs: multiply-accumulate operations and parameters.

One multiply-accumulate is one MAC (many papers print the same number as "FLOPs"). Convolutions and linear
layers are counted; normalization, activations and pooling are not, which is torchvision's convention.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """Size and compute of one forward pass of one image.

    Attributes
    ----------
    macs : int
        Multiply-accumulate operations of the convolutions and linear layers.
    parameters : int
        Trainable numbers.
    """

    macs: int
    parameters: int

    @property
    def gmac(self) -> float:
        """Multiply-accumulate operations, in 10^9."""
        return self.macs / 1e9

    def __str__(self) -> str:
        return f"{self.parameters / 1e6:.3g} M parameters, {self.gmac:.3g} GMAC"


def count_cost(model: nn.Module, input_shape: tuple[int, ...]) -> NetworkCost:
    """Count the cost of a forward pass of one image, without computing it (on torch's meta device).

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is; a copy without data is run.
    input_shape : tuple of int
        (C, H, W) of one image.

    Returns
    -------
    NetworkCost
    """
    macs = 0

    def count(module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            # Each output value sums over the kernel and over one group's share of the inputs.
            macs += output.numel() * prod(module.kernel_size) * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            macs += output.numel() * module.in_features

    twin = copy.deepcopy(model).to("meta").eval()
    for module in twin.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        twin(torch.empty((1, *input_shape), device="meta"))
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return NetworkCost(macs=macs, parameters=parameters)

"""The weights through which each input channel enters a network: the plainest ranking of channels there is.

Magnitude is what pruning starts from (Li et al., "Pruning filters for efficient ConvNets", ICLR 2017), here over the
input channels of the first convolutions instead of the filters of every one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from freqcache.errors import TrainingError
from freqcache.models.mobilenet import MobileNetV2
from freqcache.models.resnet import ResNet


def entry_convolutions(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the convolutions that first mix the input's channels.

    ResNet: the first block's ``conv1``, and its shortcut's projection where it has one. MobileNetV2 first convolves
    each channel by itself, under a BatchNorm that makes the scale of those weights meaningless: its first projection.

    Raises
    ------
    TrainingError
        For a network that takes pixels, or one of another kind.
    """
    if isinstance(network, ResNet) and not network.stem:
        shortcut = network.get_submodule("layer1.0").downsample
        return ("layer1.0.conv1",) if shortcut is None else ("layer1.0.conv1", "layer1.0.downsample.0")
    if isinstance(network, MobileNetV2) and "0" not in dict(network.features.named_children()):
        return ("features.1.conv.1",)
    msg = f"no weights per frequency channel in this network, a {type(network).__name__} with a stem for pixels"
    if not isinstance(network, ResNet | MobileNetV2):
        msg = f"it is not known where the input enters a {type(network).__name__}"
    raise TrainingError(msg)


def entry_weights(network: nn.Module) -> npt.NDArray[np.float64]:
    """Return the L2 norm of all weights that multiply each input channel in the first convolutions, (C,) float64.

    Raises
    ------
    TrainingError
        As :func:`entry_convolutions`.
    """
    squares: list[npt.NDArray[np.float64]] = []
    for name in entry_convolutions(network):
        weight = network.get_parameter(f"{name}.weight").detach()  # (outputs, C, height, width)
        squares.append(weight.to("cpu", torch.float64).square().sum(dim=(0, 2, 3)).numpy())
    norms: npt.NDArray[np.float64] = np.sqrt(np.sum(squares, axis=0))
    return norms

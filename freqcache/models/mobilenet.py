"""MobileNetV2 whose first inverted residual takes frequency channels.

Sandler et al. (CVPR 2018). Xu et al. (CVPR 2020) drop the stem convolution (stride 2) and feed the channels
to the first inverted residual, on the grid that the stem would have left: 112x112 for an RGB input of 224 px.
With ``rgb=True`` the stem stays. Module names are torchvision's; without the stem ``features.0`` is absent,
so that ``features.1`` and later carry the same weights in both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

STRIDES: Final[Mapping[str, tuple[int, ...]]] = {"iso": (1, 2, 2, 2, 1, 2, 1), "paper": (1, 2, 2, 2, 1, 2, 1)}
"""Stride of each of the seven stages; the DCTNet release changes none, so both names mean the same."""

# Expansion, channels and repeats of the seven stages: table 2 of the paper.
_STAGES: Final = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


def _round(channels: float) -> int:
    """Return the multiple of 8 nearest to `channels`, at least 8 and never less than nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise 3x3 and linear projection, with a shortcut where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_convolution(inputs, hidden, 1)]
        layers += [
            _convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(nn.Module):
    """MobileNetV2 with or without its stem.

    Parameters
    ----------
    in_channels : int
        Channels of the input; 3 with `rgb`.
    num_classes : int
        Length of the logits.
    width : float
        Factor on the channels of every stage.
    strides : tuple of int
        Stride of each of the seven stages.
    rgb : bool
        Put the RGB stem (3x3 convolution, which halves the grid) before the first stage.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        width: float = 1.0,
        strides: tuple[int, ...] = STRIDES["iso"],
        rgb: bool = False,
    ) -> None:
        super().__init__()
        channels = in_channels
        features: OrderedDict[str, nn.Module] = OrderedDict()
        if rgb:
            channels = _round(32 * width)
            features["0"] = _convolution(in_channels, channels, 3, 2)
        index = 1
        for (expansion, planes, repeats), stride in zip(_STAGES, strides, strict=True):
            outputs = _round(planes * width)
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                features[str(index)] = InvertedResidual(channels, outputs, step, expansion)
                channels, index = outputs, index + 1
        last = _round(1280 * max(1.0, width))
        features[str(index)] = _convolution(channels, last, 1)
        self.features = nn.Sequential(features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: Kaiming normal, fan-out, for convolutions; N(0, 0.01) for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, num_classes) of (N, in_channels, H, W), or of (N, 3, 2H, 2W) with `rgb`."""
        x = self.features(x)
        x = torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)
        logits: Tensor = self.classifier(x)
        return logits

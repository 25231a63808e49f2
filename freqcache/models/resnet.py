"""Residual networks whose first stage takes frequency channels instead of a stem's output.

Xu et al. (CVPR 2020) drop ResNet's stem (7x7 convolution, BatchNorm, ReLU, max pooling) and feed the
channels to ``layer1``; that is the only change to the network. With ``rgb=True`` the usual stem is kept in
front of the same trunk, for paired comparisons. Blocks are those of He et al. (CVPR 2016), bottlenecks with
the stride in their 3x3 convolution ("v1.5"). Module names are torchvision's.

No pretrained weights and no gates here: see :mod:`freqcache.gates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES: Final[Mapping[str, tuple[int, int, int, int]]] = {"iso": (1, 2, 2, 2), "paper": (1, 1, 2, 2)}
"""Stride of each stage. ``iso`` costs about what the RGB network on 4 times the grid's side in pixels costs;
``paper``, the DCTNet release, keeps the full grid through ``layer2`` at about three times that."""

ONEDNN_BLOCK: Final = 16
"""Channels that oneDNN's float32 convolutions take at once with AVX-512; 8 with AVX2."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (ResNet-18 and 34)."""

    expansion: Final = 1

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, planes, ceil(H / stride), ceil(W / stride))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(out + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut (ResNet-50); the stride is in the 3x3."""

    expansion: Final = 4

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, 4 * planes, ceil(H / stride), ceil(W / stride))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(out + shortcut)


class SubsampledConv2d(nn.Conv2d):
    """A 1x1 convolution of a stride above 1 as subsampling, then the same convolution of stride 1: the same numbers.

    For inputs of fewer than :data:`ONEDNN_BLOCK` channels. oneDNN, which computes torch's convolutions on CPUs, writes
    past its workspace in the weight gradient of the strided one where these are float32 in channels-last memory, and
    the process dies (oneDNN issue 6035, open; seen with oneDNN 3.12 of torch 2.13). Parameters and their names are
    those of :class:`torch.nn.Conv2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        # Pooling of single pixels, because the gradient of a slice is not in channels-last memory.
        kept = functional.avg_pool2d(input, 1, self.stride)
        return functional.conv2d(kept, self.weight, self.bias)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Return the projection of the shortcut, or None where shapes already agree (torchvision's rule)."""
    if stride == 1 and in_channels == out_channels:
        return None
    convolution = SubsampledConv2d if stride > 1 and in_channels < ONEDNN_BLOCK else nn.Conv2d
    return nn.Sequential(convolution(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """ResNet whose first stage takes the input channels, with torchvision's module names.

    Parameters
    ----------
    block : type
        :class:`BasicBlock` or :class:`Bottleneck`.
    depths : sequence of int
        Blocks of each of the four stages.
    in_channels : int
        Channels of the input; 3 with `rgb`.
    num_classes : int
        Length of the logits.
    width : float
        Factor on the 64, 128, 256, 512 planes of the stages; the first is rounded to a multiple of 8.
    strides : tuple of int
        Stride of each stage: a value of :data:`STRIDES`.
    rgb : bool
        Put the RGB stem (which divides the grid by 4) before the first stage.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        *,
        in_channels: int,
        num_classes: int,
        width: float = 1.0,
        strides: tuple[int, int, int, int] = STRIDES["iso"],
        rgb: bool = False,
    ) -> None:
        super().__init__()
        base = max(8, 8 * round(64 * width / 8))
        self.stem: bool = rgb
        if rgb:
            self.conv1 = nn.Conv2d(in_channels, base, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(base)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = base if rgb else in_channels
        for stage, (depth, stride) in enumerate(zip(depths, strides, strict=True)):
            planes = base * 2**stage
            blocks = []
            for index in range(depth):
                blocks.append(block(channels, planes, stride if index == 0 else 1))
                channels = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: Kaiming normal, fan-out, for convolutions; identity BatchNorm."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        self.fc.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : (N, in_channels, H, W) float, normalized coefficients on the block grid; (N, 3, 4H, 4W) with `rgb`

        Returns
        -------
        (N, num_classes) float
        """
        if self.stem:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, base, H, W)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        x = torch.flatten(self.avgpool(x), 1)
        logits: Tensor = self.fc(x)
        return logits

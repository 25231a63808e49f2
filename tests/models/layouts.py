"""State dicts with the names and shapes of networks that are not installed here, from their published definitions.

Written out from torchvision's module names and from the DCTNet repository's, without our networks, so that a mapping
between the two is tested against something else than itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and stride of MobileNetV2's stages."""


class Builder:
    """Adds tensors with seeded values; BatchNorms whose statistics differ from channel to channel."""

    def __init__(self, seed: int = 0) -> None:
        self.state: State = {}
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def conv(self, name: str, outputs: int, inputs: int, kernel: int) -> None:
        scale = (2 / (inputs * kernel**2)) ** 0.5
        self.state[f"{name}.weight"] = scale * self.normal(outputs, inputs, kernel, kernel)

    def norm(self, name: str, channels: int) -> None:
        self.state[f"{name}.weight"] = 1 + 0.1 * self.normal(channels)
        self.state[f"{name}.bias"] = 0.1 * self.normal(channels)
        self.state[f"{name}.running_mean"] = 0.1 * self.normal(channels)
        self.state[f"{name}.running_var"] = 1 + 0.1 * self.normal(channels).abs()
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def linear(self, name: str, outputs: int, inputs: int) -> None:
        self.state[f"{name}.weight"] = self.normal(outputs, inputs) / inputs**0.5
        self.state[f"{name}.bias"] = self.normal(outputs)


def _stages(build: Builder, arch: str, stage_name: str, channels: int) -> int:
    """Add four stages that take `channels`; `stage_name` is formatted with the stage's number, 0 to 3."""
    bottleneck = arch == "resnet50"
    for stage, depth in enumerate(DEPTHS[arch]):
        planes = 64 * 2**stage
        out = 4 * planes if bottleneck else planes
        for block in range(depth):
            prefix = f"{stage_name.format(stage=stage, one=stage + 1)}.{block}"
            kernels = (1, 3, 1) if bottleneck else (3, 3)
            widths = (planes, planes, out) if bottleneck else (planes, planes)
            inputs = channels
            for number, (kernel, width) in enumerate(zip(kernels, widths, strict=True), 1):
                build.conv(f"{prefix}.conv{number}", width, inputs, kernel)
                build.norm(f"{prefix}.bn{number}", width)
                inputs = width
            if block == 0 and (channels != out or (stage > 0)):
                build.conv(f"{prefix}.downsample.0", out, channels, 1)
                build.norm(f"{prefix}.downsample.1", out)
            channels = out
    return channels


def torchvision_resnet(arch: str, classes: int = 1000, seed: int = 0) -> State:
    build = Builder(seed)
    build.conv("conv1", 64, 3, 7)
    build.norm("bn1", 64)
    build.linear("fc", classes, _stages(build, arch, "layer{one}", 64))
    return build.state


def torchvision_mobilenet(classes: int = 1000, seed: int = 0) -> State:
    """Blocks keep each convolution with its BatchNorm in a Sequential of its own, but for the projection."""
    build = Builder(seed)
    build.conv("features.0.0", 32, 3, 3)
    build.norm("features.0.1", 32)
    channels, index = 32, 1
    for expansion, outputs, repeats, _stride in STAGES:
        for _ in range(repeats):
            prefix, hidden, number = f"features.{index}.conv", channels * expansion, 0
            if expansion != 1:
                build.conv(f"{prefix}.0.0", hidden, channels, 1)
                build.norm(f"{prefix}.0.1", hidden)
                number = 1
            build.conv(f"{prefix}.{number}.0", hidden, 1, 3)
            build.norm(f"{prefix}.{number}.1", hidden)
            build.conv(f"{prefix}.{number + 1}", outputs, hidden, 1)
            build.norm(f"{prefix}.{number + 2}", outputs)
            channels, index = outputs, index + 1
    build.conv("features.18.0", 1280, channels, 1)
    build.norm("features.18.1", 1280)
    build.linear("classifier.1", classes, 1280)
    return build.state


def dctnet_resnet50(channels: int, classes: int = 1000, seed: int = 0) -> State:
    """``ResNetDCT_Upscaled_Static``: children 4 to 8 of a ResNet-50 in a Sequential named model, and fc beside it."""
    build = Builder(seed)
    build.linear("fc", classes, _stages(build, "resnet50", "model.{stage}", channels))
    return build.state


def dctnet_mobilenet(channels: int, classes: int = 1000, seed: int = 0) -> State:
    """``MobileNetV2DCT_Subset_woinp``: features without the stem, blocks flat, the last convolution by itself."""
    build = Builder(seed)
    inputs, index = channels, 0
    for expansion, outputs, repeats, _stride in STAGES:
        for _ in range(repeats):
            prefix, hidden, number = f"features.{index}.conv", inputs * expansion, 0
            if expansion != 1:
                build.conv(f"{prefix}.0", hidden, inputs, 1)
                build.norm(f"{prefix}.1", hidden)
                number = 3
            build.conv(f"{prefix}.{number}", hidden, 1, 3)
            build.norm(f"{prefix}.{number + 1}", hidden)
            build.conv(f"{prefix}.{number + 3}", outputs, hidden, 1)
            build.norm(f"{prefix}.{number + 4}", outputs)
            inputs, index = outputs, index + 1
    build.conv("conv.0", 1280, inputs, 1)
    build.norm("conv.1", 1280)
    build.linear("classifier", classes, 1280)
    return build.state

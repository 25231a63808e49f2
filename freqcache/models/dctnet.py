"""Checkpoints of the DCTNet repository (Xu et al., "Learning in the Frequency Domain", CVPR 2020) as our networks.

The repository's ``ResNetDCT_Upscaled_Static`` keeps a ResNet-50's stages as ``model.0`` to ``model.3`` and its
classifier as ``fc``; its ``MobileNetV2DCT_Subset_woinp`` keeps the inverted residuals, flat, from ``features.0`` on,
the last convolution as ``conv`` and the classifier as ``classifier``. Both are our networks with strides "paper" under
other names.

Their input is in the order of DCTNet's numbers, row-major inside a component; ours is in storage order, which is
zigzag. The tensors that meet the input are permuted when they are loaded, so that a network takes the channels of
:attr:`DctnetModel.channels` as every other network here does, and gives the logits of the original.

Gated networks and those with layers that upsample chroma were not released, and are refused. What a network takes as
its input is made by :mod:`freqcache.dctnet_inputs`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError
from freqcache.models.registry import create_model
from freqcache.models.weights import COUNTER, Source, read_state_dict
from freqcache.normalization import Normalization
from freqcache_formats.mask import ChannelMask

_PRESETS: Final = {6: "6", 24: "24", 32: "32", 48: "48", 64: "64", 192: "192"}
"""The repository names its subsets by their number of channels; of its two of 24, the released take the square."""


@dataclass(frozen=True, kw_only=True)
class _Family:
    """A network of the repository.

    `mark` is a tensor that tells it from others, and whose axis `axis` has as many entries as there are channels;
    `meets` gives the axis of our tensors along which the input's channels lie.
    """

    arch: str
    mark: str
    axis: int
    classifier: str
    rename: Callable[[str], str]
    meets: Mapping[str, int]
    resize: int
    crop: int


@dataclass(frozen=True, kw_only=True)
class DctnetModel:
    """A published network, ready to be used.

    Attributes
    ----------
    model : torch.nn.Module
        In evaluation mode, on the CPU; maps (N, channels, crop / 8, crop / 8) to (N, classes) logits.
    arch : str
        ``"resnet50"`` or ``"mobilenet_v2"``.
    channels : ChannelMask
        The channels the network takes, in the order it takes them.
    normalization : Normalization
        The published one, of those channels.
    strides : str
        ``"paper"``.
    resize, crop : int
        What the short side of an image is resized to, and the side of the centre crop, in pixels: 512 and 448 for
        ResNet-50, 1024 and 896 for MobileNetV2.
    """

    model: nn.Module
    arch: str
    channels: ChannelMask
    normalization: Normalization
    strides: str = "paper"
    resize: int
    crop: int


def load_dctnet(source: Source, *, channels: ChannelMask | str | None = None) -> DctnetModel:
    """Load a checkpoint of the DCTNet repository.

    Parameters
    ----------
    source : path or mapping of str to Tensor
        A file such as ``model_best.pth.tar``, or its state dict: see
        :func:`freqcache.models.weights.read_state_dict`.
    channels : ChannelMask or preset name, optional
        The channels that the network was trained on; by default the repository's subset of as many.

    Returns
    -------
    DctnetModel

    Raises
    ------
    TrainingError
        If the file cannot be read, or its tensors are not exactly those of a network that can be had here.
    """
    where, state = read_state_dict(source)
    family = next((family for family in _FAMILIES if family.mark in state), None)
    if family is None or f"{family.classifier}.bias" not in state:
        msg = f"{where}: not a network of the DCTNet repository: expected {' or '.join(f.mark for f in _FAMILIES)}"
        raise TrainingError(msg)
    count = state[family.mark].shape[family.axis]
    if channels is None and count not in _PRESETS:
        msg = f"{where}: a network of {count} channels, of which the repository has no subset; say which they are"
        raise TrainingError(msg)
    mask = ChannelMask.load(_PRESETS[count] if channels is None else channels)
    if len(mask) != count:
        msg = f"{where}: a network of {count} channels, and the mask {mask.name!r} has {len(mask)}"
        raise TrainingError(msg)
    classes = len(state[f"{family.classifier}.bias"])
    model = create_model(family.arch, in_channels=count, num_classes=classes, strides="paper")
    renamed = {family.rename(name): value for name, value in state.items()}
    _check(where, model.state_dict(), renamed)
    order = torch.from_numpy(mask.natural_indices).argsort().argsort()  # where each of our channels is in theirs
    for name, axis in family.meets.items():
        if name in renamed:
            renamed[name] = renamed[name].index_select(axis, order)
    model.load_state_dict(renamed, strict=False)  # the counters may be missing
    return DctnetModel(
        model=model.eval(),
        arch=family.arch,
        channels=mask,
        normalization=Normalization.dctnet(mask),
        resize=family.resize,
        crop=family.crop,
    )


def _check(where: str, own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise TrainingError unless both have the same tensors; BatchNorm's counters may be missing."""
    problems = [f"{name} is missing" for name in own if name not in found and not name.endswith(COUNTER)]
    problems += [f"{name} is not part of it" for name in found if name not in own]
    problems += [
        f"{name} has shape {tuple(found[name].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if name in found and found[name].shape != value.shape
    ]
    if problems:
        shown = ", ".join(problems[:3]) + (", ..." if len(problems) > 3 else "")
        msg = f"{where}: not a network that can be loaded, {len(problems)} tensors do not fit (by our names): {shown}"
        raise TrainingError(msg)


def _resnet_name(name: str) -> str:
    """``model.0.2.conv1.weight`` is ``layer1.2.conv1.weight``."""
    return re.sub(r"^model\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.", name)


# Place in the flat Sequential of an inverted residual, and in ours, where a convolution is in a Sequential with its
# BatchNorm; of a block without expansion (the first), and of one with it.
_FLAT: Final = {
    False: {"0": "0.0", "1": "0.1", "3": "1", "4": "2"},
    True: {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"},
}
_LAST: Final = "18"


def _mobilenet_name(name: str) -> str:
    """``features.0.conv.3.weight`` is ``features.1.conv.1.weight``: our numbers count the stem, theirs do not."""
    if name.startswith("conv."):
        return f"features.{_LAST}.{name.removeprefix('conv.')}"
    if name.startswith("classifier."):
        return f"classifier.1.{name.removeprefix('classifier.')}"

    def inside(found: re.Match[str]) -> str:
        block, place = int(found[1]), found[2]
        return f"features.{block + 1}.conv.{_FLAT[block > 0].get(place, place)}."

    return re.sub(r"^features\.(\d+)\.conv\.(\d+)\.", inside, name)


_FAMILIES: Final = (
    _Family(
        arch="resnet50",
        mark="model.0.0.conv1.weight",
        axis=1,
        classifier="fc",
        rename=_resnet_name,
        meets={"layer1.0.conv1.weight": 1, "layer1.0.downsample.0.weight": 1},
        resize=512,
        crop=448,
    ),
    _Family(
        arch="mobilenet_v2",
        mark="features.0.conv.0.weight",
        axis=0,
        classifier="classifier",
        rename=_mobilenet_name,
        # A depthwise convolution and its BatchNorm keep the channels apart; the projection mixes them.
        meets={
            "features.1.conv.0.0.weight": 0,
            **{f"features.1.conv.0.1.{part}": 0 for part in ("weight", "bias", "running_mean", "running_var")},
            "features.1.conv.1.weight": 1,
        },
        resize=1024,
        crop=896,
    ),
)

"""Networks by name.

A new architecture is one entry of :data:`ARCHITECTURES`: a function of the same keyword arguments that
returns a module whose forward maps (N, in_channels, H, W) to logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from torch import nn

from freqcache.errors import TrainingError
from freqcache.models import mobilenet, resnet

INPUTS: Final = ("dct", "rgb")
"""``dct``: channels enter the first stage; ``rgb``: pixels enter the architecture's usual stem."""


def _resnet(
    block: type[resnet.BasicBlock | resnet.Bottleneck],
    depths: tuple[int, ...],
    *,
    strides: str,
    **options: Any,
) -> nn.Module:
    return resnet.ResNet(block, depths, strides=resnet.STRIDES[strides], **options)


def _mobilenet(*, strides: str, **options: Any) -> nn.Module:
    return mobilenet.MobileNetV2(strides=mobilenet.STRIDES[strides], **options)


ARCHITECTURES: Final[Mapping[str, Callable[..., nn.Module]]] = {
    "resnet18": partial(_resnet, resnet.BasicBlock, (2, 2, 2, 2)),
    "resnet34": partial(_resnet, resnet.BasicBlock, (3, 4, 6, 3)),
    "resnet50": partial(_resnet, resnet.Bottleneck, (3, 4, 6, 3)),
    "mobilenet_v2": _mobilenet,
}
"""Constructors by name."""

STEM_REDUCTION: Final[Mapping[str, int]] = {"resnet18": 4, "resnet34": 4, "resnet50": 4, "mobilenet_v2": 2}
"""By how much each architecture's RGB stem divides the side of its input."""


def create_model(
    arch: str,
    *,
    in_channels: int,
    num_classes: int,
    width: float = 1.0,
    strides: str = "iso",
    input: str = "dct",  # noqa: A002 - the word of the command line and of the run's configuration
) -> nn.Module:
    """Build a network with fresh weights, drawn from torch's global generator.

    Parameters
    ----------
    arch : str
        A key of :data:`ARCHITECTURES`.
    in_channels : int
        Number of frequency channels (3 for ``input="rgb"``).
    num_classes : int
        Length of the logits.
    width : float
        Factor on the number of channels of every stage.
    strides : str
        ``"iso"`` or ``"paper"``: see :data:`freqcache.models.resnet.STRIDES`.
    input : str
        ``"dct"``: (N, in_channels, H, W) on the block grid; ``"rgb"``: the same trunk behind the usual stem,
        which takes pixels of `STEM_REDUCTION` times the grid's side.

    Returns
    -------
    torch.nn.Module
        Maps its input to (N, num_classes) logits.

    Raises
    ------
    TrainingError
        For an unknown name or a size that makes no network.
    """
    for value, known, what in (
        (arch, ARCHITECTURES, "architecture"),
        (strides, resnet.STRIDES, "strides"),
        (input, INPUTS, "input"),
    ):
        if value not in known:
            msg = f"unknown {what} {value!r}: expected one of {', '.join(known)}"
            raise TrainingError(msg)
    if in_channels < 1 or num_classes < 1 or not width > 0:
        msg = f"no network of {in_channels} input channels, {num_classes} classes and width {width}"
        raise TrainingError(msg)
    return ARCHITECTURES[arch](
        in_channels=in_channels, num_classes=num_classes, width=width, strides=strides, rgb=input == "rgb"
    )

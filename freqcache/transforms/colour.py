"""Brightness, contrast, saturation and grayscale of dequantized coefficients.

The operations are torchvision's (``adjust_brightness``, ``adjust_contrast``, ``adjust_saturation``,
``rgb_to_grayscale``) without their clipping and rounding; what is left is affine on YCbCr of JFIF 1.02. With factors
b, c and s, pixels in 0..255 and m the mean of Y over the image::

    brightness   RGB' = b RGB                   Y' = b Y                Cb' = b Cb   Cr' = b Cr
    contrast     RGB' = c RGB + (1 - c) m       Y' = c Y + (1 - c) m    Cb' = c Cb   Cr' = c Cr
    saturation   RGB' = s RGB + (1 - s) Y       Y' = Y                  Cb' = s Cb   Cr' = s Cr

with Cb and Cr around 0; grayscale is s = 0. The DCT of T.81 (A.3.3) is linear, and the DC of a block is 8 times its
mean minus 1024, for the level shift by 128. So every coefficient is multiplied, and only the DC of Y gets an addend:
1024 (b - 1) of brightness, and (1 - c) times its own mean over the blocks of contrast, where the shift cancels. Applied
one after the other, in any order, they give the same: Y times bc, Cb and Cr times bcs, and to the DC of Y
1024 (b - 1) + b (1 - c) mean. Hue is not here: it is not affine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Final

import torch
from torch import Tensor, nn

from freqcache.dct import LEVEL_SHIFT
from freqcache_formats.channels import Channel
from freqcache_formats.mask import ChannelMask

LUMA_DC: Final = Channel("Y", 0, 0)
_DC_OF_SHIFT: Final = 8.0 * LEVEL_SHIFT


@dataclass(frozen=True, kw_only=True)
class ColourFactors:
    """The colours of n images, one factor of each kind for each image.

    Attributes
    ----------
    brightness, contrast, saturation : (n,) float32
        1 leaves an image as it is; saturation 0 makes it gray.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor

    def affine(self, channels: ChannelMask) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the factors do to dequantized coefficients x, (n, C, H, W).

        ``x * scale[:, :, None, None] + offset[:, :, None, None]``, and the DC of Y, where the mask has it, gets
        besides ``mean_weight`` times the mean of its own H x W values in x.

        Returns
        -------
        scale : (n, C) float32
        offset : (n, C) float32
            0 but for the DC of Y.
        mean_weight : (n,) float32
        """
        luma = self.brightness * self.contrast
        is_chroma = torch.tensor([channel.component != "Y" for channel in channels.channels], device=luma.device)
        scale = torch.where(is_chroma, (luma * self.saturation)[:, None], luma[:, None])
        is_luma_dc = torch.tensor([channel == LUMA_DC for channel in channels.channels], device=luma.device)
        offset = is_luma_dc * (_DC_OF_SHIFT * (self.brightness - 1.0))[:, None]
        return scale, offset, self.brightness * (1.0 - self.contrast)


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """How far the colours of an image may be changed, as torchvision's ``ColorJitter`` and ``RandomGrayscale``.

    Attributes
    ----------
    brightness, contrast, saturation : float
        A factor is drawn uniformly from max(0, 1 - x)..1 + x; 0 leaves it 1.
    grayscale : float
        Probability that an image becomes gray.

    Raises
    ------
    ValueError
        For a negative or infinite number, or a probability above 1.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grayscale: float = 0.0

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name in ("brightness", "contrast", "saturation"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                yield f"{name} must not be negative, found {getattr(self, name)}"
        if not 0 <= self.grayscale <= 1:
            yield f"grayscale must be a probability in 0..1, found {self.grayscale}"

    def draw(self, n: int, generator: torch.Generator | None = None) -> ColourFactors:
        """Draw the factors of `n` images, on the CPU.

        As many numbers are drawn whatever the options are, so that one option does not change what another draws.
        """
        uniform = torch.rand(4, n, generator=generator, dtype=torch.float32)
        ranges = ((max(0.0, 1.0 - x), 1.0 + x) for x in (self.brightness, self.contrast, self.saturation))
        brightness, contrast, saturation = (
            low + (high - low) * u for (low, high), u in zip(ranges, uniform[:3], strict=True)
        )
        colourful = (uniform[3] >= self.grayscale).float()
        return ColourFactors(brightness=brightness, contrast=contrast, saturation=saturation * colourful)


class RandomColour(nn.Module):
    """Change the colours of each image of a batch of dequantized coefficients.

    Values that pixels would have beyond black and white are kept, not clipped. The mean of contrast is over the whole
    blocks of the grid.

    Parameters
    ----------
    channels : ChannelMask
        Channels of the batch.
    jitter : ColourJitter
        How far.
    """

    def __init__(self, channels: ChannelMask, jitter: ColourJitter) -> None:
        super().__init__()
        self.channels = channels
        self.jitter = jitter

    def adjust(self, x: Tensor, factors: ColourFactors) -> Tensor:
        """Give the images of x, (B, C, H, W) dequantized, the colours of these factors; the same shape and type.

        Raises
        ------
        ValueError
            If x has integers, which a quantization step would have to dequantize first, or other channels.
        """
        if not x.is_floating_point() or x.shape[1] != len(self.channels):
            msg = (
                f"expected dequantized floating values of {len(self.channels)} channels, "
                f"found {x.dtype} of shape {tuple(x.shape)}"
            )
            raise ValueError(msg)
        scale, offset, mean_weight = (part.to(x.device) for part in factors.affine(self.channels))
        if self.channels.channels[0] == LUMA_DC:  # in storage order it can only be the first
            offset[:, 0] += mean_weight * x[:, 0].mean((1, 2), dtype=mean_weight.dtype)
        return torch.addcmul(offset.to(x.dtype)[:, :, None, None], x, scale.to(x.dtype)[:, :, None, None])

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return x, (B, C, H, W) dequantized, in other colours; `generator` lives on the CPU."""
        return self.adjust(x, self.jitter.draw(x.shape[0], generator))

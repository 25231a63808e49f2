"""From stored coefficients to what a network takes: augmentation, normalization, or pixels.

One module for the three, so that training, validation and use outside see the same numbers. The random
numbers of ``dct`` and ``rgb`` runs are drawn alike: with one seed both train on the same mirrored and shifted
images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from freqcache.models.registry import STEM_REDUCTION
from freqcache.normalization import Normalization
from freqcache.training.config import RunConfig
from freqcache.transforms import Normalize, RandomBlockShift, RandomHorizontalFlip, ToPixels
from freqcache_formats.mask import ChannelMask


class InputPipeline(nn.Module):
    """Augment (in training mode only) and encode batches of stored coefficients.

    Parameters
    ----------
    config : RunConfig
        Of which the input, the architecture and the augmentation are used.
    channels : ChannelMask
        Channels of the batches.
    scale : (C,) float32
        Quantization step of each channel.
    normalization : Normalization
        Ignored for pixels, which take ImageNet's.
    """

    def __init__(
        self, config: RunConfig, *, channels: ChannelMask, scale: Tensor, normalization: Normalization
    ) -> None:
        super().__init__()
        step = 1
        self.encode: nn.Module
        if config.input == "rgb":
            step = STEM_REDUCTION[config.arch]
            self.encode = ToPixels(scale, pool=8 // step)
        else:
            self.encode = Normalize(normalization.mean, normalization.std, scale)
        self.mirror = RandomHorizontalFlip(channels) if config.flip else None
        self.shift = RandomBlockShift(config.shift, step) if config.shift else None

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the network's input, float32 in channels-last memory, of (B, C, H, W) stored coefficients.

        `generator`, on the CPU, draws the augmentation in training mode.
        """
        if self.training and self.mirror is not None:
            x = self.mirror(x, generator)
        encoded: Tensor = self.encode(x)
        if self.training and self.shift is not None:
            encoded = self.shift(encoded, generator)
        return encoded.contiguous(memory_format=torch.channels_last)


def network_input_shape(config: RunConfig, channels: int, grid: tuple[int, int]) -> tuple[int, int, int]:
    """Return (C, H, W) of one image as the network takes it."""
    if config.input == "rgb":
        step = STEM_REDUCTION[config.arch]
        return 3, step * grid[0], step * grid[1]
    return channels, *grid

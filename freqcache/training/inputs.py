"""From stored coefficients to what a network takes: augmentation, normalization, or pixels.

One module for all, so that training, validation and use outside see the same numbers. The random numbers of ``dct``
and ``rgb`` runs are drawn alike: with one seed both train on the same mirrored, shifted and cropped images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from freqcache.batches import FrequencyBatch
from freqcache.crops import Crop
from freqcache.models.registry import STEM_REDUCTION
from freqcache.normalization import Normalization
from freqcache.training.config import RunConfig
from freqcache.training.draws import AUGMENTATION, Draws, SharedCrop
from freqcache.transforms import EvalTransform, Normalize, RandomBlockShift, RandomHorizontalFlip, ToPixels
from freqcache_formats.mask import ChannelMask


class InputPipeline(nn.Module):
    """Augment (in training mode only) and encode batches of stored coefficients.

    Parameters
    ----------
    config : RunConfig
        Of which the input, the architecture and the augmentation are used.
    channels : ChannelMask
        Channels that the network takes, or that pixels are made of.
    scale : (held,) float32
        Quantization step of each channel of the batches.
    normalization : Normalization
        Of `channels`; ignored for pixels, which take ImageNet's.
    held : ChannelMask, optional
        Channels of the batches; `channels` by default. Others may be there where images are cropped.
    crop : Crop, optional
        What becomes of each image; without one a batch is used as it is.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        channels: ChannelMask,
        scale: Tensor,
        normalization: Normalization,
        held: ChannelMask | None = None,
        crop: Crop | None = None,
    ) -> None:
        super().__init__()
        pixels = config.input == "rgb"
        step = STEM_REDUCTION[config.arch] if pixels else 1
        self.crop = crop
        self.cropping: EvalTransform | None = None
        self.mirror: RandomHorizontalFlip | None = None
        self.shift: RandomBlockShift | None = None
        self.encode: nn.Module = nn.Identity()
        if crop is not None:
            if pixels:  # dequantized coefficients, of which pixels are made
                normalization = Normalization(mean=torch.zeros(len(channels)), std=torch.ones(len(channels)))
            self.cropping = EvalTransform(
                channels, crop=crop, normalization=normalization, held=held, scale=scale, threads=config.threads or 1
            )
            scale = torch.ones(len(channels))
        else:
            self.mirror = RandomHorizontalFlip(channels) if config.flip else None
            self.shift = RandomBlockShift(config.shift, step) if config.shift else None
        if pixels:
            self.encode = ToPixels(scale, pool=8 // step)
        elif crop is None:
            self.encode = Normalize(normalization.mean, normalization.std, scale)

    def forward(self, x: Tensor | FrequencyBatch, draws: Draws | None = None) -> Tensor:
        """Return the network's input, float32 in channels-last memory.

        Parameters
        ----------
        x : (B, held, H, W) int8, int16 or float32, or FrequencyBatch
            Stored coefficients.
        draws : Draws, optional
            Where the batch stands; training mode needs it.
        """
        generator = None
        if self.training and draws is not None:
            generator = draws.generator(AUGMENTATION)
        if self.cropping is not None and self.crop is not None:
            self.cropping.crop = self.crop if draws is None else SharedCrop(crop=self.crop, draws=draws)
            x = self.cropping(x, generator)
        stored: Any = x
        if draws is not None and generator is not None and self.mirror is not None:
            stored = self.mirror(stored, chosen=self.mirror.draw(draws.images, generator)[draws.rows])
        encoded: Tensor = self.encode(stored)
        if draws is not None and generator is not None and self.shift is not None:
            encoded = self.shift(encoded, begin=self.shift.draw(draws.images, generator)[:, draws.rows])
        return encoded.contiguous(memory_format=torch.channels_last)


def network_input_shape(config: RunConfig, channels: int, grid: tuple[int, int]) -> tuple[int, int, int]:
    """Return (C, H, W) of one image as the network takes it."""
    if config.input == "rgb":
        step = STEM_REDUCTION[config.arch]
        return 3, step * grid[0], step * grid[1]
    return channels, *grid

"""Mirrored and shifted images, on their blocks.

Mirroring an image reverses the order of its blocks and negates the basis functions that are odd along that axis
(Park & Johnson, "RGB no more", CVPR 2023). Shifts are by whole blocks: a finer one mixes frequencies, and is
:mod:`freqcache.resample`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from freqcache_formats.mask import ChannelMask


class RandomHorizontalFlip(nn.Module):
    """Mirror each image of a batch with probability `p`, on its coefficients.

    Works on stored or dequantized coefficients, before normalization: the mean of an odd frequency is not
    exactly 0.

    Parameters
    ----------
    channels : ChannelMask
        Channels of the batch.
    p : float
        Probability of mirroring an image.
    """

    sign: Tensor

    def __init__(self, channels: ChannelMask, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        odd = torch.tensor([channel.u % 2 for channel in channels.channels], dtype=torch.int8)
        self.register_buffer("sign", (1 - 2 * odd)[:, None, None])

    def flip(self, x: Tensor) -> Tensor:
        """Mirror every image of x, (B, C, H, W); applied twice it is the identity."""
        return x.flip(-1) * self.sign.to(x.dtype)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a copy of x, (B, C, H, W), some of its images mirrored; `generator` lives on the CPU."""
        chosen = torch.rand(x.shape[0], generator=generator) < self.p
        where = chosen.nonzero().flatten().to(x.device)
        if where.numel() == 0:
            return x
        return x.index_copy(0, where, self.flip(x.index_select(0, where)))


class RandomBlockShift(nn.Module):
    """Translate each image by a random whole number of blocks, filling with zeros.

    Used after normalization, where 0 is each channel's mean.

    Parameters
    ----------
    blocks : int
        Largest shift in either direction along each axis; 0 leaves the batch as it is.
    step : int
        Rows of the input per block: 1 for coefficients, 4 for the pixels of :class:`ToPixels`.
    """

    def __init__(self, blocks: int, step: int = 1) -> None:
        super().__init__()
        self.blocks = blocks
        self.step = step

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return x, (B, C, H, W), each image translated; `generator` lives on the CPU."""
        if self.blocks == 0:
            return x
        batch, _, height, width = x.shape
        pad = self.blocks * self.step
        shift = self.step * torch.randint(0, 2 * self.blocks + 1, (2, batch), generator=generator).to(x.device)
        rows = shift[0, :, None] + torch.arange(height, device=x.device)  # (B, H)
        cols = shift[1, :, None] + torch.arange(width, device=x.device)  # (B, W)
        padded = nn.functional.pad(x, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # (B, H + 2p, W + 2p, C)
        image = torch.arange(batch, device=x.device)[:, None, None]
        return padded[image, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)  # (B, C, H, W)

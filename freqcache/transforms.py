"""Transforms of batches of coefficients, as modules that run wherever the batch is.

Flip and block shift work in the coefficient domain (Park & Johnson, "RGB no more", CVPR 2023): mirroring an
image reverses the order of its blocks and negates the basis functions that are odd along that axis. Inverse
transform and colour conversion follow ITU-T T.81 (A.3.3) and JFIF 1.02. Channels are in storage order
(component, then zigzag). Resizing is not here: it mixes frequencies.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES, ZIGZAG_TO_NATURAL
from freqcache_formats.mask import ChannelMask

RGB_MEAN = (0.485, 0.456, 0.406)
RGB_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's pixels in 0..1, the usual normalization of RGB networks."""

_YCC_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


class Normalize(nn.Module):
    """Dequantize and standardize: ``(x * scale - mean) / std``, as float32.

    Parameters
    ----------
    mean, std : (C,) float
        Of dequantized coefficients. A channel whose `std` is 0 carries nothing and becomes ``x - mean``.
    scale : (C,) float
        Quantization step of each channel: ``x * scale`` are dequantized coefficients.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, mean: Tensor, std: Tensor, scale: Tensor) -> None:
        super().__init__()
        divisor = torch.where(std > 0, std, torch.ones_like(std)).double()
        # One multiplication and one addition over the batch instead of three passes.
        self.register_buffer("factor", (scale.double() / divisor).float()[:, None, None])
        self.register_buffer("offset", (-mean.double() / divisor).float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) float32, in channels-last memory, of stored coefficients of any type."""
        # The layout that convolutions like is cheapest made while the numbers are still one or two bytes.
        return torch.addcmul(self.offset, x.contiguous(memory_format=torch.channels_last).float(), self.factor)


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


def inverse_basis() -> Tensor:
    """Return the inverse DCT of an 8x8 block as a matrix.

    Returns
    -------
    (64, 64) float64
        ``basis @ coefficients`` maps zigzag coefficients to samples in row-major order (T.81, A.3.3).
    """
    frequency, sample = np.arange(8)[:, None], np.arange(8)[None, :]
    rows = 0.5 * np.cos((2 * sample + 1) * frequency * np.pi / 16)  # (frequency, sample)
    rows[0] /= np.sqrt(2.0)
    natural = np.einsum("vy,ux->yxvu", rows, rows).reshape(N_FREQUENCIES, N_FREQUENCIES)
    return torch.from_numpy(natural[:, ZIGZAG_TO_NATURAL].copy())


class ToPixels(nn.Module):
    """Reconstruct RGB from all 192 channels on the luma grid, as an RGB network of the same trunk takes it.

    Inverse DCT, level shift, YCbCr to RGB (JFIF), clamp to 0..255, average over `pool` x `pool` pixels, and
    normalization with ImageNet's mean and deviation. Values are not rounded.

    Parameters
    ----------
    scale : (192,) float
        Quantization step of each channel.
    pool : int
        Pixels averaged along each axis: 2 leaves 4 pixels per block.
    """

    matrix: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, scale: Tensor, pool: int = 2) -> None:
        super().__init__()
        if scale.shape != (N_CHANNELS,):
            msg = f"pixels need all {N_CHANNELS} channels, found {tuple(scale.shape)}"
            raise ValueError(msg)
        self.pool = pool
        # Dequantization, inverse transform and colours are linear: one matrix from a block's 192 coefficients
        # to its 3 x 64 samples. What follows the clamp is not, so pooling cannot be part of it.
        colours = torch.tensor(_YCC_TO_RGB, dtype=torch.float64)
        matrix = torch.einsum("rc,pk->rpck", colours, inverse_basis()).reshape(N_CHANNELS, N_CHANNELS)
        self.register_buffer("matrix", (matrix * scale.double()).float())
        self.register_buffer("mean", torch.tensor(RGB_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(RGB_STD)[:, None, None])

    def _samples(self, x: Tensor) -> Tensor:
        """Return (B, 3, 8, 8, H, W) RGB in 0..255: row and column inside a block, then the blocks."""
        batch, _, rows, cols = x.shape
        # Y is shifted by 128; Cb and Cr are too, but the colour equations subtract it again.
        rgb = torch.matmul(self.matrix, x.float().reshape(batch, N_CHANNELS, rows * cols)).add_(128.0)
        return rgb.clamp_(0.0, 255.0).reshape(batch, 3, 8, 8, rows, cols)

    def pixels(self, x: Tensor) -> Tensor:
        """Return (B, 3, 8H, 8W) float32 RGB in 0..255 of (B, 192, H, W) stored coefficients."""
        return _join_blocks(self._samples(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 3, 8H / pool, 8W / pool) float32, normalized, of (B, 192, H, W) stored coefficients."""
        samples, p = self._samples(x), self.pool
        # Summing strided views before the blocks are joined moves a quarter of the memory.
        pooled = samples[:, :, ::p, ::p].clone()
        for offset in range(1, p * p):
            pooled += samples[:, :, offset // p :: p, offset % p :: p]
        return (_join_blocks(pooled) / (255.0 * p * p) - self.mean) / self.std


def _join_blocks(samples: Tensor) -> Tensor:
    """Lay blocks side by side: (B, 3, s, s, H, W) to (B, 3, s * H, s * W)."""
    batch, colours, side, _, rows, cols = samples.shape
    return samples.permute(0, 1, 4, 2, 5, 3).reshape(batch, colours, side * rows, side * cols)

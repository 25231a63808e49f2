"""RGB pixels of coefficients on the device, for RGB networks that train beside frequency-domain ones.

Inverse transform and colour conversion follow ITU-T T.81 (A.3.3) and JFIF 1.02. Chroma must be on the luma grid;
images with other grids are :func:`freqcache.rgb.coefficients_to_rgb`'s.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES, ZIGZAG_TO_NATURAL

RGB_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels in 0..1, of the usual normalization of RGB networks."""

RGB_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""

_YCC_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


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

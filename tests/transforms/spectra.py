"""Independent oracle of the tests of transforms: scipy's DCT of samples channel by channel, and JFIF's colours."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from freqcache_formats.channels import ALL_CHANNELS


def forward(planes: np.ndarray) -> np.ndarray:
    """(3, 8H, 8W) samples to (192, H, W) coefficients, channel by channel from the channel table."""
    _, height, width = planes.shape
    blocks = planes.reshape(3, height // 8, 8, width // 8, 8).transpose(0, 1, 3, 2, 4)
    spectra = dctn(blocks, axes=(3, 4), norm="ortho")
    index = {"Y": 0, "Cb": 1, "Cr": 2}
    return np.stack([spectra[index[c.component], :, :, c.v, c.u] for c in ALL_CHANNELS])


def inverse(coefficients: np.ndarray) -> np.ndarray:
    """(192, H, W) coefficients to (3, 8H, 8W) samples."""
    _, rows, cols = coefficients.shape
    spectra = np.zeros((3, rows, cols, 8, 8))
    index = {"Y": 0, "Cb": 1, "Cr": 2}
    for channel, plane in zip(ALL_CHANNELS, coefficients, strict=True):
        spectra[index[channel.component], :, :, channel.v, channel.u] = plane
    blocks = idctn(spectra, axes=(3, 4), norm="ortho")
    return blocks.transpose(0, 1, 3, 2, 4).reshape(3, 8 * rows, 8 * cols)


def ycc_from_rgb(rgb: np.ndarray) -> np.ndarray:
    """(3, h, w) RGB in 0..255 to Y - 128, Cb and Cr around 0, as JFIF 1.02 defines them; float64, unrounded."""
    red, green, blue = rgb.astype(np.float64)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma - 128, (blue - luma) / 1.772, (red - luma) / 1.402])


def rgb_from_ycc(ycc: np.ndarray) -> np.ndarray:
    """Invert :func:`ycc_from_rgb`, solving its definitions for red, blue and green."""
    luma, cb, cr = ycc[0] + 128, ycc[1], ycc[2]
    red, blue = luma + 1.402 * cr, luma + 1.772 * cb
    return np.stack([red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue])

"""Independent oracle of the tests of transforms: scipy's DCT of samples, channel by channel."""

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

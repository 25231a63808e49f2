"""DCTNet's preprocessing in floating point: numpy.interp and scipy's DCT, nothing rounded after the file is decoded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from freqcache_formats.channels import COMPONENTS
from freqcache_formats.mask import ChannelMask

Floats = npt.NDArray[np.float64]

# JFIF 1.02, from the luma weights of BT.601.
_R, _G, _B = 0.299, 0.587, 0.114


def bilinear(pixels: Floats, height: int, width: int) -> Floats:
    """(rows, columns, 3) to (height, width, 3): positions at half pixels, edges held, no antialiasing."""
    for axis, size in ((0, height), (1, width)):
        n = pixels.shape[axis]
        at = (np.arange(size) + 0.5) * n / size - 0.5
        pixels = np.apply_along_axis(lambda line, at=at, n=n: np.interp(at, np.arange(n), line), axis, pixels)
    return pixels


def reference(pixels: npt.NDArray[np.uint8], mask: ChannelMask, resize: int, crop: int) -> Floats:
    """(rows, columns, 3) RGB to (channels, crop / 8, crop / 8), in the order of `mask`."""
    height, width, _ = pixels.shape
    short = min(height, width)
    scaled = bilinear(pixels.astype(np.float64), int(resize * height / short), int(resize * width / short))
    top, left = (round((n - crop) / 2) for n in scaled.shape[:2])
    small = scaled[top : top + crop, left : left + crop]
    large = bilinear(small, 2 * crop, 2 * crop)
    luma = small @ np.array([_R, _G, _B]) - 128
    red, green, blue = np.moveaxis(large, -1, 0)
    gray = _R * red + _G * green + _B * blue
    chroma = [(part - gray) / (2 * (1 - weight)) for part, weight in ((blue, _B), (red, _R))]
    halved = [plane.reshape(crop, 2, crop, 2).mean((1, 3)) for plane in chroma]
    blocks = [
        dctn(plane.reshape(crop // 8, 8, crop // 8, 8).transpose(0, 2, 1, 3), axes=(2, 3), norm="ortho")
        for plane in (luma, *halved)
    ]
    return np.stack([blocks[COMPONENTS.index(c.component)][:, :, c.v, c.u] for c in mask.channels])

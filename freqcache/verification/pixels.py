"""A stored sample as pixels, against Pillow's decoding of its source file: a second opinion on the extraction itself.

Sound files agree within rounding. A wrong quantization table, components in each other's place, or blocks in the wrong
order do not. Where the sample was resized, so are Pillow's pixels, by another filter; then only a large difference
counts. The bounds come from 150 photographs of ImageNet, and 3,117 of flowers pass them (docs/verify.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from freqcache.rgb import coefficients_to_ycbcr

SAME_SIZE: Final = 1.0
"""Largest mean difference, in levels of 256, of a component of a sample that was not resized: found up to 0.31."""

COMPUTED: Final = 4.0
"""The same of a computed sample, which was quantized once more."""

RESIZED: Final = (14.0, 20.0, 20.0)
"""Smallest PSNR, in decibels, of Y, Cb and Cr of a sample that was resized. Photographs were found down to 24, 33, 32,
sharp and colourful pictures reduced to 64 pixels to 19 and 26. It tells another picture; coefficients tell the rest."""

_NAMES: Final = ("Y", "Cb", "Cr")
Planes = Sequence[npt.NDArray[Any] | None]


def differences(
    planes: Planes,
    steps: Planes,
    sampling: Sequence[tuple[int, int]],
    size: tuple[int, int],
    theirs: Sequence[npt.NDArray[Any]],
    crop: int | None,
) -> list[tuple[float, float]]:
    """Return how far each component is from Pillow's.

    Parameters
    ----------
    planes, steps, sampling
        Of the components: as :func:`freqcache.rgb.coefficients_to_rgb` takes them.
    size : (int, int)
        Width and height of the sample in pixels.
    theirs : sequence of (height, width) arrays
        Y, Cb and Cr of the whole image, or Y alone.
    crop : int or None
        Of a fixed store: the side of the centre crop.

    Returns
    -------
    list of (float, float)
        Of each component: mean difference in levels, and PSNR in decibels.
    """
    width, height = size
    ours = coefficients_to_ycbcr(planes, steps, sampling=sampling, width=width, height=height)
    found = []
    for mine, plane in zip(ours, theirs, strict=False):
        other = _resized(plane, size, crop)
        error = np.clip(mine, 0, 255) - other
        power = float(np.mean(error**2))
        found.append((float(np.abs(error).mean()), float(10 * np.log10(255**2 / max(power, 1e-9)))))
    return found


def problem(found: Sequence[tuple[float, float]], *, resized: bool, computed: bool) -> str | None:
    """Return what is wrong with a sample whose components differ so much; None if nothing is."""
    for name, (mean, psnr), least in zip(_NAMES, found, RESIZED, strict=False):
        bound = COMPUTED if computed else SAME_SIZE
        if resized and psnr < least:
            return f"its {name} is not what Pillow decodes and resizes: {psnr:.1f} dB, expected at least {least:g}"
        if not resized and mean > bound:
            return (
                f"its {name} is not what Pillow decodes: {mean:.2f} levels off on average, expected at most {bound:g}"
            )
    return None


def _resized(plane: npt.NDArray[Any], size: tuple[int, int], crop: int | None) -> npt.NDArray[np.float32]:
    """Return a plane scaled to the size of the sample, cut to the centre where that is a crop."""
    values = np.asarray(plane, dtype=np.float32)
    height, width = values.shape
    if crop is not None:
        short = min(width, height)
        scaled = (crop, round(height * crop / short)) if width <= height else (round(width * crop / short), crop)
    else:
        scaled = size
    if scaled != (width, height):
        image = Image.fromarray(values).resize(scaled, Image.Resampling.BILINEAR)
        values = np.asarray(image, dtype=np.float32)
    if crop is None:
        return values
    left, top = round((scaled[0] - crop) / 2), round((scaled[1] - crop) / 2)
    return values[top : top + crop, left : left + crop]

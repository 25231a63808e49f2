"""Between RGB pixels and YCbCr, and a reference decoder of coefficients, to look at samples and for tests.

YCbCr as in JFIF 1.02 (full range, ITU-R BT.601). Nothing here resizes or is made for speed: see
:mod:`freqcache.resampling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.dct import LEVEL_SHIFT, blocks_to_plane
from freqcache.quantization import dequantize

_YCBCR_FROM_RGB: Final = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)


def rgb_to_ycbcr(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Convert RGB to YCbCr without rounding.

    Pillow's own conversion cuts the fraction off, which makes its pixels darker by half a level on average.

    Parameters
    ----------
    pixels : ndarray
        (height, width, 3) uint8, RGB.

    Returns
    -------
    ndarray
        (3, height, width) float32: Y in 0..255, Cb and Cr around 128.
    """
    height, width, _ = pixels.shape
    planes: npt.NDArray[np.float32] = _YCBCR_FROM_RGB @ pixels.reshape(-1, 3).astype(np.float32).T
    planes[1:] += LEVEL_SHIFT
    return planes.reshape(3, height, width)


def coefficients_to_rgb(
    planes: Sequence[npt.NDArray[Any] | None],
    steps: Sequence[npt.NDArray[Any] | None],
    *,
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
) -> npt.NDArray[np.uint8]:
    """Decode coefficients to RGB pixels, for looking at samples; a reference, not a fast decoder.

    Inverse DCT, chroma upsampling (as in :mod:`freqcache.resampling.bands`), YCbCr to RGB, and one
    rounding and clamping at the end. libjpeg also rounds and clamps after the inverse DCT and after the
    upsampling, so single pixels differ, above all where it clamped.

    Parameters
    ----------
    planes : sequence of ndarray
        Y, Cb and Cr, or Y alone: (64, block_rows, block_cols) each, quantized, zigzag order. None for absent
        chroma.
    steps : sequence of ndarray
        (64,) quantization steps of each plane; None where the plane is None.
    sampling : sequence of (h, v)
        Sampling factors of each plane; all (1, 1) once chroma is on the luma grid.
    width, height : int
        Pixels of the image.

    Returns
    -------
    ndarray
        (height, width, 3) uint8, RGB.

    Raises
    ------
    ValueError
        If there are other planes than these, or the sequences differ in length.
    """
    samples = coefficients_to_ycbcr(planes, steps, sampling=sampling, width=width, height=height)
    luma = samples[0]
    # JFIF 1.02: full-range YCbCr of ITU-R BT.601.
    cb, cr = (plane - LEVEL_SHIFT for plane in samples[1:]) if len(samples) == 3 else (0.0, 0.0)
    red, green, blue = luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb
    rgb: npt.NDArray[np.uint8] = np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255).astype(np.uint8)
    return rgb


def coefficients_to_ycbcr(
    planes: Sequence[npt.NDArray[Any] | None],
    steps: Sequence[npt.NDArray[Any] | None],
    *,
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
) -> list[npt.NDArray[np.floating]]:
    """Decode coefficients to full-size Y, Cb and Cr, or Y alone: :func:`coefficients_to_rgb` without its last steps.

    Returns
    -------
    list of ndarray
        (height, width) floating each, on the scale of 8-bit samples (chroma around 128), neither rounded nor clamped.

    Raises
    ------
    ValueError
        If there are other planes than these, or the sequences differ in length.
    """
    present = [
        (plane, table, (int(factors[0]), int(factors[1])))
        for plane, table, factors in zip(planes, steps, sampling, strict=True)
        if plane is not None and table is not None
    ]
    if len(present) not in {1, 3} or planes[0] is None:
        msg = f"expected Y alone, or Y, Cb and Cr; found {len(present)} of {len(planes)} planes"
        raise ValueError(msg)
    h_max, v_max = (max(factors[axis] for _, _, factors in present) for axis in (0, 1))
    return [
        _upsample(_upsample(blocks_to_plane(dequantize(plane, table)), height, v, v_max).T, width, h, h_max).T
        for plane, table, (h, v) in present
    ]


def _upsample(plane: npt.NDArray[np.floating], n_out: int, factor: int, max_factor: int) -> npt.NDArray[np.floating]:
    """Interpolate the rows of a component to the grid of the finest one, and drop the padding."""
    n_true = -(-n_out * factor // max_factor)
    position = (np.arange(n_out) + 0.5) * (factor / max_factor) - 0.5
    before = np.floor(position)
    share = (position - before)[:, None]
    near, far = (np.clip(before + step, 0, n_true - 1).astype(np.intp) for step in (0, 1))
    upsampled: npt.NDArray[np.floating] = plane[near] * (1 - share) + plane[far] * share
    return upsampled

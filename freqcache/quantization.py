"""Quantization: the IJG tables, rounding to integers, and the fixed steps of int8 caches.

The tables are the examples of ITU-T T.81, Annex K.1, scaled by the Independent JPEG Group's quality from 1 to
100 as libjpeg does. All tables are in zigzag order, all coefficients ``(64, ...)`` or ``(192, ...)`` with the
frequency first. Nothing here estimates the quality of a file.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.dct import basis
from freqcache.errors import SourceError
from freqcache_formats.channels import ZIGZAG_TO_NATURAL

FIXED_QUALITY: Final = 90
"""IJG quality whose steps are the smallest of :func:`fixed_steps`."""

INT8_LIMIT: Final = 127
"""Largest magnitude of a coded int8 coefficient; -128 stays free to mean "missing"."""

# T.81 Annex K.1, tables K.1 and K.2, row-major.
_LUMA: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA: Final = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)


def ijg_table(quality: int, *, chroma: bool = False) -> npt.NDArray[np.uint16]:
    """Return the IJG quantization table of a quality, with 8-bit entries as in baseline JPEG.

    Parameters
    ----------
    quality : int
        1 (coarsest) to 100 (every step is 1).
    chroma : bool
        Take table K.2 (Cb and Cr) instead of K.1 (Y).

    Returns
    -------
    ndarray
        (64,) uint16, zigzag order, 1..255.

    Raises
    ------
    ValueError
        If `quality` is outside 1..100.
    """
    if not 1 <= quality <= 100:
        msg = f"expected a JPEG quality in 1..100, found {quality}"
        raise ValueError(msg)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (np.array(_CHROMA if chroma else _LUMA).reshape(64) * percent + 50) // 100
    table: npt.NDArray[np.uint16] = np.clip(scaled, 1, 255)[ZIGZAG_TO_NATURAL].astype(np.uint16)
    return table


def quantize(coefficients: npt.NDArray[np.floating], table: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Divide by the steps and round to the nearest integer, ties to even.

    libjpeg rounds ties away from zero; exact ties hardly occur with computed coefficients, and rounding to
    even has no bias.

    Parameters
    ----------
    coefficients : ndarray
        (n, ...) floating, frequency first.
    table : ndarray
        (n,) steps in the same order, all positive.

    Returns
    -------
    ndarray
        The shape of `coefficients`, int16.

    Raises
    ------
    SourceError
        If a quantized value does not fit int16 or is not a number.
    """
    scaled = _divide_and_round(coefficients, table)
    limits = np.iinfo(np.int16)
    if not _is_within(scaled, limits.min, limits.max):
        raise SourceError(_first_outside(scaled, limits.min, limits.max))
    return scaled.astype(np.int16)


def dequantize(quantized: npt.NDArray[np.integer], table: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Multiply by the steps.

    Parameters
    ----------
    quantized : ndarray
        (n, ...) integers, frequency first.
    table : ndarray
        (n,) steps in the same order.

    Returns
    -------
    ndarray
        The shape of `quantized`, float32; exact for integer steps while the products stay below 2**24.
    """
    steps = _aligned(table, quantized, np.float32)
    scaled: npt.NDArray[np.float32] = np.multiply(quantized, steps, dtype=np.float32)
    return scaled


def coefficient_bounds() -> npt.NDArray[np.float64]:
    """Return the largest magnitude that each DCT coefficient of 8-bit samples can have.

    With samples in [-128, 127] and b the basis image of a frequency, the most negative value takes -128
    where b > 0 and 127 where b < 0: its magnitude is 128 * P + 127 * N, with P and N the sums of b's positive
    and negative parts; the largest value is 127 * P + 128 * N. For AC, P = N; for DC, N = 0 and the bound is
    1024.

    Returns
    -------
    ndarray
        (64,) float64, zigzag order.
    """
    images = basis(np.float64)
    positive = np.where(images > 0, images, 0).sum(axis=1)
    negative = np.where(images < 0, -images, 0).sum(axis=1)
    lowest, highest = 128 * positive + 127 * negative, 127 * positive + 128 * negative
    bounds: npt.NDArray[np.float64] = np.maximum(lowest, highest)
    return bounds


@cache
def fixed_steps() -> npt.NDArray[np.float32]:
    """Return the steps with which every coefficient of 8-bit samples fits int8.

    Each step is that of IJG quality 90, raised where needed to the channel's bound / 127: see
    :func:`coefficient_bounds`. So no block of 8-bit samples is clipped, and -128 never occurs.

    Returns
    -------
    ndarray
        (192,) float32, storage order (Y, Cb, Cr; zigzag inside each), read-only.
    """
    luma, chroma = ijg_table(FIXED_QUALITY), ijg_table(FIXED_QUALITY, chroma=True)
    wanted = np.concatenate([luma, chroma, chroma]).astype(np.float64)
    exact = np.maximum(wanted, np.tile(coefficient_bounds() / INT8_LIMIT, 3))
    steps = exact.astype(np.float32)
    # Round up where the cast rounded down, so that bound / step cannot pass 127.
    steps = np.where(steps < exact, np.nextafter(steps, np.float32(np.inf)), steps)
    steps.setflags(write=False)
    return steps


def quantize_fixed(
    coefficients: npt.NDArray[np.floating], steps: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.int8], int]:
    """Quantize to int8, saturating at -127 and 127, and count what saturated.

    Coefficients decoded from a JPEG can pass the bounds of 8-bit samples, because the decoder's clipping has
    not happened to them: few do, and the count says how many.

    Parameters
    ----------
    coefficients : ndarray
        (192, block_rows, block_cols) floating, dequantized, storage order.
    steps : ndarray
        (192,) positive steps: :func:`fixed_steps`.

    Returns
    -------
    quantized : ndarray
        The shape of `coefficients`, int8, -127..127, ties rounded to even.
    n_saturated : int
        Number of values that were beyond -127..127 after rounding.

    Raises
    ------
    SourceError
        If a value is not a finite number.
    """
    scaled = _divide_and_round(coefficients, steps)
    if _is_within(scaled, -INT8_LIMIT, INT8_LIMIT):
        return scaled.astype(np.int8), 0
    largest = float(np.finfo(scaled.dtype).max)
    if not _is_within(scaled, -largest, largest):
        raise SourceError(_first_outside(scaled, -largest, largest))
    n_saturated = int(np.count_nonzero(np.abs(scaled) > INT8_LIMIT))
    return np.clip(scaled, -INT8_LIMIT, INT8_LIMIT).astype(np.int8), n_saturated


def _aligned(table: npt.NDArray[Any], values: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return `table` shaped to broadcast along the first axis of `values`."""
    if values.ndim == 0 or table.shape != values.shape[:1]:
        msg = f"expected one step for each entry of axis 0 of {values.shape}, found steps {table.shape}"
        raise ValueError(msg)
    return table.astype(dtype).reshape(-1, *(1,) * (values.ndim - 1))


def _divide_and_round(coefficients: npt.NDArray[np.floating], steps: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
    """Return the quantized values, still floating."""
    scaled: npt.NDArray[np.floating] = coefficients / _aligned(steps, coefficients, coefficients.dtype)
    np.rint(scaled, out=scaled)
    return scaled


def _is_within(scaled: npt.NDArray[np.floating], low: float, high: float) -> bool:
    """Whether all values are numbers in [low, high]; NaN makes both comparisons false."""
    return scaled.size == 0 or bool(scaled.min() >= low and scaled.max() <= high)


def _first_outside(scaled: npt.NDArray[np.floating], low: float, high: float) -> str:
    """Return the message about the first value that is not in [low, high]."""
    position = tuple(int(i) for i in np.argwhere(~((scaled >= low) & (scaled <= high)))[0])
    return (
        f"quantized coefficient at {position} is {float(scaled[position])}: expected a number in {low:.6g}..{high:.6g}"
    )

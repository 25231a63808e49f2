"""The operator of one axis as a band: for each block of the output, a small matrix over the source blocks near it.

The inverse block DCT, upsampling of chroma, antialiased resize, crop, mirroring and block DCT are linear along an
axis. Their product M is banded: a block of the output depends on a few neighbouring blocks of the source. Computed in
float64, rounded to float32 once.

- Upsampling of components sampled more coarsely than the finest one is linear interpolation with centred siting,
  clamped at the edges: for a factor of 2 these are the weights 3/4 and 1/4 of libjpeg's triangle ("fancy")
  upsampling. For other factors libjpeg repeats samples; here they are interpolated in the same way.
- The resize has the weights of Pillow's ``Image.resize(..., BILINEAR, box=...)``: a triangle as wide as the scale
  when shrinking, cut off and renormalized at the edges.

Axes are records of :data:`freqcache.resampling.geometry.AXIS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.compiled import inlined, kernel
from freqcache.dct import dct_matrix
from freqcache.resampling.vectors import add_scaled, multiply_block

_ROW = 64
"""Bytes of eight doubles."""


@inlined
def _pixel(axis: Any, position: int) -> int:
    """Return the output pixel at a position of the padded output: mirrored, and the last one repeated."""
    pixel = min(position, axis.n_out - 1)
    return int(axis.start + (axis.n_out - 1 - pixel if axis.flip else pixel))


@inlined
def _support(axis: Any, pixel: int) -> tuple[int, int, float, float]:
    """Return the first and the last but one source pixel under a resized pixel's filter, its centre and its width."""
    width = max(axis.scale, 1.0)
    centre = axis.box + (pixel + 0.5) * axis.scale
    return max(int(centre - width + 0.5), axis.low), min(int(centre + width + 0.5), axis.high), centre, width


@inlined
def _sample(axis: Any, pixel: int) -> float:
    """Return the place, between the samples of the component, of a pixel of the image."""
    return float((pixel + 0.5) * axis.ratio - 0.5)


@inlined
def _held(axis: Any, sample: int) -> int:
    return int(min(max(sample, 0), axis.n_true - 1))


@kernel
def place_band(axis: Any, first: npt.NDArray[np.int64]) -> int:
    """Fill in the first source block of each output block; return how many blocks wide the band is.

    Parameters
    ----------
    axis : AXIS record
        What to do.
    first : (blocks_out,) int64
        Filled; each leaves room for the whole width.

    Returns
    -------
    int
        Source blocks that each output block is made of; 0 if some output pixel has no source pixel under its
        filter.
    """
    if axis.whole >= 0:
        last = (axis.n_out + 7) // 8 - 1
        for block in range(len(first)):
            moved = min(block, last)
            first[block] = axis.whole + (last - moved if axis.flip else moved)
        return 1
    n_wide = 0
    for block in range(len(first)):
        lowest, highest = axis.n_true, 0
        # Sources rise with the pixel: those of a block lie between those of its first and its last pixel.
        for position in (8 * block, 8 * block + 7):
            low, high, _, _ = _support(axis, _pixel(axis, position))
            if low >= high:
                return 0
            lowest = min(lowest, _held(axis, int(np.floor(_sample(axis, low)))))
            last = _sample(axis, high - 1)
            highest = max(highest, _held(axis, int(np.ceil(last))))
        first[block] = lowest // 8
        n_wide = max(n_wide, highest // 8 - lowest // 8 + 1)
    for block in range(len(first)):
        first[block] = min(first[block], axis.n_blocks - n_wide)
    return n_wide


@kernel
def fill_band(
    axis: Any,
    first: npt.NDArray[np.int64],
    n_wide: int,
    dct: npt.NDArray[np.float64],
    wanted: npt.NDArray[np.float64],
    samples: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> bool:
    """Compute the matrices of a band.

    Parameters
    ----------
    axis, first, n_wide
        As :func:`place_band` has them.
    dct : (8, 8) float64
        The DCT, [frequency, sample].
    wanted : (8, 8) float64
        Rows of the DCT for the frequencies wanted, transposed, [sample, frequency]; zeros for unused ones.
    samples : (8 * n_wide or more, 8) float64
        Scratch.
    out : (blocks_out, n_wide or more, 8, 8) float32
        Filled: [output block, source block, frequency in, frequency out].

    Returns
    -------
    bool
        False if some output pixel has no source pixel with weight under its filter.
    """
    if axis.whole >= 0:
        for block in range(len(first)):
            for i in range(8):
                for k in range(8):
                    # Exactly 0, 1 or -1, so that what is only moved keeps its value.
                    value = np.float64(0.0)
                    for sample in range(8):
                        value += dct[i, sample] * wanted[sample, k]
                    sign = -1.0 if axis.flip and i % 2 else 1.0
                    out[block, 0, i, k] = np.float32(sign * np.rint(value))
        return True
    upsampled = axis.ratio != 1.0
    sums, rows = np.uintp(samples.ctypes.data), np.uintp(wanted.ctypes.data)
    for block in range(len(first)):
        base = 8 * first[block]
        samples[: 8 * n_wide] = 0.0
        for position in range(8):
            row = rows + np.uintp(_ROW * position)
            low, high, centre, width = _support(axis, _pixel(axis, 8 * block + position))
            total = 0.0
            slope = 1.0 / width
            for pixel in range(low, high):
                total += max(0.0, 1.0 - abs(pixel - centre + 0.5) * slope)
            if total <= 0.0:
                return False
            share = 1.0 / total
            for pixel in range(low, high):
                weight = max(0.0, 1.0 - abs(pixel - centre + 0.5) * slope) * share
                if not upsampled:
                    add_scaled(sums + np.uintp(_ROW * (pixel - base)), row, weight)
                    continue
                place = _sample(axis, pixel)
                before = int(np.floor(place))
                fraction = place - before
                near, far = _held(axis, before) - base, _held(axis, before + 1) - base
                add_scaled(sums + np.uintp(_ROW * near), row, weight * (1.0 - fraction))
                if fraction > 0.0:
                    add_scaled(sums + np.uintp(_ROW * far), row, weight * fraction)
        for source in range(n_wide):
            multiply_block(
                np.uintp(dct.ctypes.data),
                sums + np.uintp(8 * _ROW * source),
                np.uintp(out[block, source].ctypes.data),
            )
    return True


@kernel
def place_bands(axes: Any, n_blocks: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Place the bands of several axes.

    Parameters
    ----------
    axes : (n,) AXIS
    n_blocks : int
        Output blocks of each.

    Returns
    -------
    first : (n, n_blocks) int64
    widths : (n,) int64
        As :func:`place_band`.
    """
    first = np.empty((len(axes), n_blocks), dtype=np.int64)
    widths = np.empty(len(axes), dtype=np.int64)
    for axis in range(len(axes)):
        widths[axis] = place_band(axes[axis], first[axis])
    return first, widths


def axis_band(axis: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the whole band of one axis: all frequencies of all output blocks.

    Parameters
    ----------
    axis : () AXIS

    Returns
    -------
    first : (blocks_out,) int64
        First source block of each output block.
    matrices : (blocks_out, 8, width, 8) float32
        [output block, frequency out, source block, frequency in].

    Raises
    ------
    ValueError
        If some output pixel has no source pixel with weight under its filter.
    """
    record = axis[()]
    first = np.empty(-(-int(record["n_out"]) // 8), dtype=np.int64)
    n_wide = place_band(record, first)
    out = np.empty((len(first), n_wide, 8, 8), dtype=np.float32)
    samples = np.empty((8 * n_wide, 8))
    if n_wide == 0 or not fill_band(record, first, n_wide, dct_matrix(), dct_matrix().T.copy(), samples, out):
        msg = f"the box reaches too far beyond the {record['high']} samples"
        raise ValueError(msg)
    return first, out.transpose(0, 3, 1, 2)

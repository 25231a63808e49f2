"""The linear operator of crop, resize and chroma upsampling along one axis of a component, in the DCT domain.

The inverse block DCT, edge replication at the true size, upsampling to the luma grid, an antialiased resize,
a crop and the block DCT are all linear along an axis. Their product M is built here. A block of the output
depends on a few neighbouring blocks of the input, so M is kept as a band of small matrices.

- Upsampling of components sampled more coarsely than the finest one is linear interpolation with centred
  siting, clamped at the edges: for a factor of 2 these are the weights 3/4 and 1/4 of libjpeg's triangle
  ("fancy") upsampling. For other factors libjpeg repeats samples; here they are interpolated in the same way.
- The resize has the weights of Pillow's ``Image.resize(..., BILINEAR, box=...)``: a triangle as wide as the
  scale when shrinking, cut off and renormalized at the edges.

Nothing here touches coefficients: see :mod:`freqcache.resample`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from freqcache.dct import dct_matrix

Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]

_CACHED_OPERATORS: Final = 256


@dataclass(frozen=True, kw_only=True)
class AxisGeometry:
    """What happens to one axis of one component.

    Attributes
    ----------
    n_blocks : int
        Blocks of the source plane.
    n_full : int
        Size of the image along the axis, in pixels.
    factor, max_factor : int
        The component's sampling factor (h or v of T.81) and the largest of the image: the component has
        ceil(n_full * factor / max_factor) true samples.
    n_resized : int
        Pixels after the resize.
    start, n_out : int
        The crop, in resized pixels. The output has ceil(n_out / 8) blocks, padded by repeating the last
        sample.
    box : tuple of float or None
        Start and length, in pixels, of the part that is resized to `n_resized`; None for all `n_full`. It may
        pass the end, as long as every output sample has a source sample under its filter.

    Raises
    ------
    ValueError
        When the numbers contradict each other, such as a crop larger than the resized image.
    """

    n_blocks: int
    n_full: int
    factor: int = 1
    max_factor: int = 1
    n_resized: int
    start: int = 0
    n_out: int
    box: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= self.max_factor:
            msg = f"expected sampling factors 1 <= factor <= maximum, found {self.factor}, {self.max_factor}"
            raise ValueError(msg)
        if self.n_full < 1 or 8 * self.n_blocks < self.n_true:
            msg = f"expected blocks for {self.n_true} samples, found {self.n_blocks} blocks"
            raise ValueError(msg)
        if self.start < 0 or self.n_out < 1 or self.start + self.n_out > self.n_resized:
            msg = f"crop of {self.n_out} at {self.start} is not inside the {self.n_resized} resized pixels"
            raise ValueError(msg)
        if self.box is not None and not (0 <= self.box[0] < self.n_full and self.box[1] > 0):
            msg = f"box (start, length) {self.box} is not inside the {self.n_full} pixels"
            raise ValueError(msg)

    @property
    def n_true(self) -> int:
        """Samples of the component that belong to the image (T.81, A.1.1)."""
        return -(-self.n_full * self.factor // self.max_factor)

    def whole_blocks(self) -> slice | None:
        """Return the source blocks that are the output as they stand, or None if samples must be computed.

        A last, partly filled block counts when the crop reaches the edge of the image: its padding stays the
        encoder's.
        """
        resampled = self.factor != self.max_factor or self.n_resized != self.n_full
        resampled = resampled or self.box not in (None, (0, self.n_full))
        stop = self.start + self.n_out
        if resampled or self.start % 8 or (self.n_out % 8 and stop != self.n_full):
            return None
        return slice(self.start // 8, -(-stop // 8))


class AxisOperator(NamedTuple):
    """The band of an M: output block j is ``matrices[j] @ source[8 * first[j] : 8 * first[j] + width]``.

    Attributes
    ----------
    first : tuple of int
        First source block of each output block.
    matrices : ndarray
        (blocks_out, 8, width) float32, read-only, [block, frequency out, 8 * source block + frequency in].
    """

    first: tuple[int, ...]
    matrices: npt.NDArray[np.float32]


def linear_taps(n_out: int, factor: int, max_factor: int, n_true: int) -> Taps:
    """Return the two samples, and their weights, that each upsampled sample is interpolated from.

    Parameters
    ----------
    n_out : int
        Samples wanted, on the grid of `max_factor`.
    factor, max_factor : int
        Sampling factors: source sample i lies at (i + 1/2) * max_factor / factor.
    n_true : int
        Samples of the source; positions beyond take the nearest one.

    Returns
    -------
    indices : ndarray
        (n_out, 2) intp, inside 0..n_true - 1.
    weights : ndarray
        (n_out, 2) float64, rows sum to 1.
    """
    position = (np.arange(n_out) + 0.5) * (factor / max_factor) - 0.5
    before = np.floor(position)
    fraction = position - before
    indices = np.clip(before[:, None] + np.array([0, 1]), 0, n_true - 1).astype(np.intp)
    return indices, np.stack([1 - fraction, fraction], axis=1)


def triangle_taps(n_in: int, n_out: int, box: tuple[float, float], wanted: npt.NDArray[np.intp]) -> Taps:
    """Return the samples and weights of an antialiased bilinear resize, as Pillow chooses them.

    Parameters
    ----------
    n_in, n_out : int
        Samples before and after.
    box : tuple of float
        Start and length of the part of the source that becomes the `n_out` samples.
    wanted : ndarray
        (n,) intp; which of the `n_out` samples to give.

    Returns
    -------
    indices : ndarray
        (n, taps) intp, inside 0..n_in - 1.
    weights : ndarray
        (n, taps) float64, rows sum to 1, zero for unused taps.

    Raises
    ------
    ValueError
        If a wanted sample lies so far beyond the source that no sample has weight.
    """
    scale = box[1] / n_out
    support = max(scale, 1.0)
    centre = box[0] + (wanted + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.intp), 0)
    stop = np.minimum((centre + support + 0.5).astype(np.intp), n_in)
    indices = first[:, None] + np.arange(int(np.ceil(support)) * 2 + 1)
    distance = np.abs(indices - centre[:, None] + 0.5) / support
    weights = np.where(indices < stop[:, None], np.maximum(1 - distance, 0), 0)
    total = weights.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        msg = f"box (start, length) {box} reaches too far beyond the {n_in} samples"
        raise ValueError(msg)
    return np.minimum(indices, n_in - 1), weights / total


@lru_cache(maxsize=_CACHED_OPERATORS)
def axis_operator(geometry: AxisGeometry) -> AxisOperator:
    """Return the operator of one axis in the block-DCT domain; the most recent ones are kept.

    Parameters
    ----------
    geometry : AxisGeometry
        What to do.

    Returns
    -------
    AxisOperator
        Its band; computed in float64, rounded to float32 once.
    """
    n_blocks_out = -(-geometry.n_out // 8)
    # Crop and padding: the output pixels wanted, the last one repeated up to whole blocks.
    wanted = geometry.start + np.minimum(np.arange(8 * n_blocks_out), geometry.n_out - 1)
    box = (0.0, float(geometry.n_full)) if geometry.box is None else geometry.box
    pixels, resize_weights = triangle_taps(geometry.n_full, geometry.n_resized, box, wanted)
    # Each of those pixels is interpolated from two samples of the component.
    taps, tap_weights = linear_taps(geometry.n_full, geometry.factor, geometry.max_factor, geometry.n_true)
    samples = taps[pixels].reshape(len(wanted), -1)
    weights = (resize_weights[:, :, None] * tap_weights[pixels]).reshape(len(wanted), -1)
    return _in_blocks(samples, weights, geometry.n_blocks)


def _in_blocks(samples: npt.NDArray[np.intp], weights: npt.NDArray[np.float64], n_blocks: int) -> AxisOperator:
    """Transform a sparse (samples out, taps) operator to a band of matrices between 8-point DCTs."""
    n_out = len(samples)
    used = weights > 0
    lowest = np.where(used, samples, 8 * n_blocks).reshape(n_out // 8, -1).min(axis=1) // 8
    highest = np.where(used, samples, 0).reshape(n_out // 8, -1).max(axis=1) // 8
    n_wide = int((highest - lowest).max()) + 1
    first = np.minimum(lowest, n_blocks - n_wide)

    in_band = samples - 8 * np.repeat(first, 8)[:, None]
    flat = (8 * n_wide * np.arange(n_out)[:, None] + in_band)[used]
    band = np.bincount(flat, weights[used], minlength=8 * n_wide * n_out)
    blocks = band.reshape(n_out // 8, 8, n_wide, 8).transpose(0, 2, 1, 3)
    transformed = dct_matrix() @ blocks @ dct_matrix().T
    matrices = transformed.transpose(0, 2, 1, 3).reshape(n_out // 8, 8, 8 * n_wide).astype(np.float32)
    matrices.setflags(write=False)
    return AxisOperator(tuple(first.tolist()), matrices)

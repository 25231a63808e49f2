"""Resampling of one image's components, for builds: to a fixed grid, or reduced to fit.

What the operator is, is said in :mod:`freqcache.resampling`. Where nothing has to be resampled, the coefficients are
passed on as they stand. Components are ``(64, block_rows, block_cols)`` in zigzag order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.crops import CentreCrop
from freqcache.resampling.cpu import resample_arrays
from freqcache.resampling.frequencies import frequencies
from freqcache.resampling.geometry import AXIS, AxisGeometry
from freqcache.resampling.kernel import to_channels_first
from freqcache_formats.channels import N_CHANNELS, N_COMPONENTS, N_FREQUENCIES, NATURAL_TO_ZIGZAG

Float32Array = npt.NDArray[np.float32]
Plane = npt.NDArray[np.int16] | Float32Array

_LARGEST_FACTOR = 4  # T.81, B.2.2
_ONE_COMPONENT = tuple(range(N_FREQUENCIES))
_ALL = tuple(range(N_CHANNELS))
_PLACES = NATURAL_TO_ZIGZAG.reshape(8, 8).T
"""Zigzag position of [u, v]."""


def resize_plane(
    coefficients: Plane,
    vertical: AxisGeometry,
    horizontal: AxisGeometry,
    steps: npt.NDArray[Any] | None = None,
) -> Float32Array:
    """Apply one geometry to the rows and one to the columns of a component.

    Parameters
    ----------
    coefficients : ndarray
        (64, vertical.n_blocks, horizontal.n_blocks) int16 or float32, zigzag order.
    vertical, horizontal : AxisGeometry
        What to do along each axis.
    steps : (64,) ndarray, optional
        Quantization steps, zigzag order; ones by default.

    Returns
    -------
    ndarray
        (64, ceil(vertical.n_out / 8), ceil(horizontal.n_out / 8)) float32, dequantized.

    Raises
    ------
    ValueError
        If the shape is not that of the geometries, or a box reaches too far beyond the image.
    """
    expected = (N_FREQUENCIES, vertical.n_blocks, horizontal.n_blocks)
    if coefficients.shape != expected:
        msg = f"expected coefficients {expected}, found {coefficients.shape}"
        raise ValueError(msg)
    axes = np.zeros((1, N_COMPONENTS, 2), dtype=AXIS)
    axes[0, 0, 0], axes[0, 0, 1] = vertical.record(), horizontal.record()
    grid = (-(-vertical.n_out // 8), -(-horizontal.n_out // 8))
    return _resampled([coefficients], [steps], axes, grid, _ONE_COMPONENT)


def to_fixed_grid(
    planes: Sequence[Plane | None],
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
    size: int,
    steps: Sequence[npt.NDArray[Any] | None] = (None, None, None),
) -> Float32Array:
    """Resize the short side to `size`, crop the centre square, and bring chroma to the luma grid.

    The sizes and offsets are those of torchvision's ``Resize(size)`` and ``CenterCrop(size)``.

    Parameters
    ----------
    planes : sequence of 3 ndarray or None
        Y, Cb, Cr: (64, block_rows, block_cols) int16 or float32, one dtype, zigzag order. None for absent chroma
        (gray images), whose channels become 0.
    sampling : sequence of (h, v)
        Sampling factors of the planes, None ones included (and then ignored).
    width, height : int
        Pixels of the image.
    size : int
        Side of the square in pixels, a multiple of 8.
    steps : sequence of 3 (64,) ndarray or None
        Quantization steps of the planes; ones by default.

    Returns
    -------
    ndarray
        (192, size / 8, size / 8) float32, dequantized, storage order.

    Raises
    ------
    ValueError
        If `size` is not a positive multiple of 8, or planes, sampling and size of the image disagree.
    """
    crop = CentreCrop(size=size)
    if len(planes) != N_COMPONENTS:
        msg = f"expected 3 planes (None for absent chroma), found {len(planes)}"
        raise ValueError(msg)
    _max_factors(planes, sampling)
    blocks = np.array([[(0, 0) if plane is None else plane.shape[1:] for plane in planes]], dtype=np.int32)
    factors = np.array([[(0, 0) if p is None else f for p, f in zip(planes, sampling, strict=True)]], dtype=np.uint8)
    pixels = (np.array([width], dtype=np.int32), np.array([height], dtype=np.int32))
    crops = crop.draw(*pixels)
    axes = crops.axes(blocks=blocks, sampling=factors, width=pixels[0], height=pixels[1])
    return _resampled(planes, steps, axes, crops.grid, _ALL)


def reduced_size(width: int, height: int, max_size: int | None) -> tuple[int, int]:
    """Return the width and height of an image shrunk until neither exceeds `max_size`.

    Parameters
    ----------
    width, height : int
        Pixels.
    max_size : int or None
        Longest side wanted, in pixels; None for no limit.

    Returns
    -------
    width, height : int
        Pixels, each rounded to the nearest; the given ones if they fit already.

    Raises
    ------
    ValueError
        If `max_size` is not positive.
    """
    if max_size is not None and max_size < 1:
        msg = f"expected a positive maximal size, found {max_size}"
        raise ValueError(msg)
    longest = max(width, height)
    if max_size is None or longest <= max_size:
        return width, height
    return max(1, round(width * max_size / longest)), max(1, round(height * max_size / longest))


def reduce_to_fit(
    planes: Sequence[Plane],
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
    max_size: int | None,
    steps: Sequence[npt.NDArray[Any]] | None = None,
) -> tuple[tuple[Plane, ...], int, int]:
    """Shrink an image whose longer side exceeds `max_size`, each component at its own sampling.

    Component samples are scaled about their places on the luma grid, so chroma keeps its siting; the shape is
    kept up to rounding to whole pixels.

    Parameters
    ----------
    planes : sequence of ndarray
        Components, (64, block_rows, block_cols) int16 or float32 each, zigzag order.
    sampling : sequence of (h, v)
        Sampling factors of the planes.
    width, height : int
        Pixels of the image.
    max_size : int or None
        Longest side wanted, in pixels; None for no limit.
    steps : sequence of (64,) ndarray, optional
        Quantization steps of the planes; ones by default.

    Returns
    -------
    planes : tuple of ndarray
        Components of the smaller image, float32, dequantized, the true size of each
        ceil(new size * factor / largest factor); the given ones if the image fits already.
    new_width, new_height : int
        Pixels: :func:`reduced_size`.

    Raises
    ------
    ValueError
        If `max_size` is not positive, or planes, sampling and size of the image disagree.
    """
    h_max, v_max = _max_factors(planes, sampling)
    new_width, new_height = reduced_size(width, height, max_size)
    if (new_width, new_height) == (width, height):
        return tuple(planes), width, height
    reduced: list[Plane] = []
    for plane, (h, v), table in zip(planes, sampling, steps or (None,) * len(planes), strict=True):
        vertical = _scaled_axis(plane.shape[1], height, new_height, v, v_max)
        horizontal = _scaled_axis(plane.shape[2], width, new_width, h, h_max)
        reduced.append(resize_plane(plane, vertical, horizontal, table))
    return tuple(reduced), new_width, new_height


def _scaled_axis(n_blocks: int, n_full: int, n_full_new: int, factor: int, max_factor: int) -> AxisGeometry:
    """Return one axis of a component that is scaled with its image and keeps its sampling factor."""
    n_source, n_scaled = (-(-n * factor // max_factor) for n in (n_full, n_full_new))
    # The component's last sample may reach past the image's edge, in the source and in the result alike: what
    # maps onto n_scaled samples is not exactly the n_source ones.
    length = n_scaled * n_full / n_full_new
    return AxisGeometry(
        n_blocks=n_blocks,
        n_full=n_source,
        n_resized=n_scaled,
        n_out=n_scaled,
        box=None if n_full_new == n_full else (0.0, length),
    )


def _max_factors(planes: Sequence[Plane | None], sampling: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest h and v of the planes that are there."""
    if len(sampling) != len(planes):
        msg = f"expected sampling factors of {len(planes)} planes, found {len(sampling)}"
        raise ValueError(msg)
    present = [factors for factors, plane in zip(sampling, planes, strict=True) if plane is not None]
    if not present:
        msg = "expected at least one plane, found none"
        raise ValueError(msg)
    for factors in present:
        if not all(1 <= factor <= _LARGEST_FACTOR for factor in factors):
            msg = f"expected sampling factors 1..{_LARGEST_FACTOR}, found {tuple(factors)}"
            raise ValueError(msg)
    return max(h for h, _ in present), max(v for _, v in present)


def _resampled(
    planes: Sequence[Plane | None],
    steps: Sequence[npt.NDArray[Any] | None],
    axes: npt.NDArray[Any],
    grid: tuple[int, int],
    channels: tuple[int, ...],
) -> Float32Array:
    """Run the kernel on one image: ``(channels, *grid)``."""
    parts = [None if plane is None else np.ascontiguousarray(plane) for plane in planes]
    there = [part for part in parts if part is not None]
    if len({part.dtype for part in there}) > 1:
        msg = f"expected planes of one dtype, found {', '.join(str(part.dtype) for part in there)}"
        raise ValueError(msg)
    flats = [(there[0] if part is None else part).reshape(-1) for part in parts]
    blocks = np.zeros((1, N_COMPONENTS, 2), dtype=np.int32)
    present = np.zeros((1, N_COMPONENTS, 2), dtype=np.uint8)
    tables = np.ones((1, N_COMPONENTS, 8, 8), dtype=np.float32)
    for component, (part, table) in enumerate(zip(parts, steps, strict=True)):
        if part is not None:
            blocks[0, component], present[0, component] = part.shape[1:], 1
        if part is not None and table is not None:
            tables[0, component] = table[_PLACES]
    out = np.empty((1, *grid, len(channels)), dtype=np.float32)
    resample_arrays(
        [[*flats, *[flats[0]] * (N_COMPONENTS - len(flats))]],
        part=np.zeros(1, dtype=np.intp),
        starts=np.zeros((1, N_COMPONENTS), dtype=np.int64),
        blocks=blocks,
        sampling=present,
        steps=tables,
        axes=axes,
        plan=frequencies(channels, channels),
        scale=np.ones((1, len(channels)), dtype=np.float32),
        offset=np.zeros((1, len(channels)), dtype=np.float32),
        out=out,
    )
    turned = np.empty((len(channels), *grid), dtype=np.float32)
    to_channels_first(out.reshape(-1, len(channels)), turned.reshape(len(channels), -1))
    return turned

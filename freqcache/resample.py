"""Crop, resize and chroma upsampling of coefficients: components, and whole images.

On a component's plane X all of these are linear and separable: out = M_v X M_h^T, with the banded matrices
of :mod:`freqcache.axis_operator`, which says what the filters are. Nothing is rounded or clipped on the way;
in that alone the result differs from the same steps in pixels. Where nothing has to be resampled, the
coefficients are passed on as they stand.

Coefficients are dequantized, ``(64, block_rows, block_cols)`` float32, zigzag order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from freqcache.axis_operator import AxisGeometry, AxisOperator, axis_operator
from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES, NATURAL_TO_ZIGZAG, ZIGZAG_TO_NATURAL

__all__ = ["AxisGeometry", "axis_operator", "reduce_to_fit", "reduced_size", "resize_plane", "to_fixed_grid"]

Float32Array = npt.NDArray[np.float32]

_V, _U = np.divmod(ZIGZAG_TO_NATURAL, 8)


def resize_plane(coefficients: Float32Array, vertical: AxisGeometry, horizontal: AxisGeometry) -> Float32Array:
    """Apply one geometry to the rows and one to the columns of a component.

    Parameters
    ----------
    coefficients : ndarray
        (64, vertical.n_blocks, horizontal.n_blocks) float32, dequantized, zigzag order.
    vertical, horizontal : AxisGeometry
        What to do along each axis.

    Returns
    -------
    ndarray
        (64, ceil(vertical.n_out / 8), ceil(horizontal.n_out / 8)) float32. Where nothing is resampled and the
        crop is aligned to blocks, a view of `coefficients`.

    Raises
    ------
    ValueError
        If the shape is not that of the geometries.
    """
    expected = (64, vertical.n_blocks, horizontal.n_blocks)
    if coefficients.shape != expected:
        msg = f"expected coefficients {expected}, found {coefficients.shape}"
        raise ValueError(msg)
    row_operator, rows = _operator_and_source(vertical)
    column_operator, columns = _operator_and_source(horizontal)
    coefficients = coefficients[:, rows, columns]
    if row_operator is None and column_operator is None:
        return coefficients
    # (block_rows, v, block_cols, u): one run of numbers along each axis, for the operators to slide over.
    _, n_rows, n_columns = coefficients.shape
    natural = coefficients[NATURAL_TO_ZIGZAG].reshape(8, 8, n_rows, n_columns)
    plane = np.ascontiguousarray(natural.transpose(2, 0, 3, 1)).reshape(8 * n_rows, 8 * n_columns)
    if row_operator is not None:
        plane = _apply(row_operator, plane, rows.start)
    plane = np.ascontiguousarray(plane.T)
    if column_operator is not None:
        plane = _apply(column_operator, plane, columns.start)
    blocks = plane.reshape(plane.shape[0] // 8, 8, plane.shape[1] // 8, 8)
    return blocks.transpose(3, 1, 2, 0)[_V, _U]


def to_fixed_grid(
    planes: Sequence[Float32Array | None],
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
    size: int,
) -> Float32Array:
    """Resize the short side to `size`, crop the centre square, and bring chroma to the luma grid.

    The sizes and offsets are those of torchvision's ``Resize(size)`` and ``CenterCrop(size)``.

    Parameters
    ----------
    planes : sequence of 3 ndarray or None
        Y, Cb, Cr: (64, block_rows, block_cols) float32 each, dequantized. None for absent chroma (gray
        images), whose channels become 0.
    sampling : sequence of (h, v)
        Sampling factors of the planes, None ones included (and then ignored).
    width, height : int
        Pixels of the image.
    size : int
        Side of the square in pixels, a multiple of 8.

    Returns
    -------
    ndarray
        (192, size / 8, size / 8) float32, dequantized, storage order.

    Raises
    ------
    ValueError
        If `size` is not a positive multiple of 8, or planes, sampling and size of the image disagree.
    """
    if size < 8 or size % 8:
        msg = f"expected a size that is a positive multiple of 8, found {size}"
        raise ValueError(msg)
    if len(planes) != N_CHANNELS // N_FREQUENCIES:
        msg = f"expected 3 planes (None for absent chroma), found {len(planes)}"
        raise ValueError(msg)
    h_max, v_max = _max_factors(planes, sampling)
    short = min(width, height)
    out = np.zeros((N_CHANNELS, size // 8, size // 8), np.float32)
    for component, plane in enumerate(planes):
        if plane is None:
            continue
        h, v = sampling[component]
        vertical = _centred_axis(plane.shape[1], height, v, v_max, short, size)
        horizontal = _centred_axis(plane.shape[2], width, h, h_max, short, size)
        first = N_FREQUENCIES * component
        out[first : first + N_FREQUENCIES] = resize_plane(plane, vertical, horizontal)
    return out


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
    planes: Sequence[Float32Array],
    sampling: Sequence[tuple[int, int]],
    width: int,
    height: int,
    max_size: int | None,
) -> tuple[tuple[Float32Array, ...], int, int]:
    """Shrink an image whose longer side exceeds `max_size`, each component at its own sampling.

    Component samples are scaled about their places on the luma grid, so chroma keeps its siting; the shape is
    kept up to rounding to whole pixels.

    Parameters
    ----------
    planes : sequence of ndarray
        Components, (64, block_rows, block_cols) float32 each, dequantized.
    sampling : sequence of (h, v)
        Sampling factors of the planes.
    width, height : int
        Pixels of the image.
    max_size : int or None
        Longest side wanted, in pixels; None for no limit.

    Returns
    -------
    planes : tuple of ndarray
        Components of the smaller image, the true size of each ceil(new size * factor / largest factor); the
        given ones if the image fits already.
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
    reduced = []
    for plane, (h, v) in zip(planes, sampling, strict=True):
        vertical = _scaled_axis(plane.shape[1], height, new_height, v, v_max)
        horizontal = _scaled_axis(plane.shape[2], width, new_width, h, h_max)
        reduced.append(resize_plane(plane, vertical, horizontal))
    return tuple(reduced), new_width, new_height


def _centred_axis(n_blocks: int, n_full: int, factor: int, max_factor: int, short: int, size: int) -> AxisGeometry:
    """Return one axis of Resize(size) and CenterCrop(size), with torchvision's truncation and rounding."""
    n_resized = int(size * n_full / short)
    return AxisGeometry(
        n_blocks=n_blocks,
        n_full=n_full,
        factor=factor,
        max_factor=max_factor,
        n_resized=n_resized,
        start=round((n_resized - size) / 2),
        n_out=size,
    )


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


def _max_factors(planes: Sequence[Float32Array | None], sampling: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the largest h and v of the planes that are there."""
    if len(sampling) != len(planes):
        msg = f"expected sampling factors of {len(planes)} planes, found {len(sampling)}"
        raise ValueError(msg)
    present = [factors for factors, plane in zip(sampling, planes, strict=True) if plane is not None]
    if not present:
        msg = "expected at least one plane, found none"
        raise ValueError(msg)
    return max(h for h, _ in present), max(v for _, v in present)


def _operator_and_source(geometry: AxisGeometry) -> tuple[AxisOperator | None, slice]:
    """Return the operator, None for the identity, and the source blocks that the output depends on."""
    whole = geometry.whole_blocks()
    if whole is not None:
        return None, whole
    operator = axis_operator(geometry)
    n_wide = operator.matrices.shape[2] // 8
    return operator, slice(min(operator.first), max(operator.first) + n_wide)


def _apply(operator: AxisOperator, plane: Float32Array, first_block: int) -> Float32Array:
    """Multiply the rows of a plane, (8 * blocks, n), whose row 0 starts block `first_block`, by a band."""
    n_blocks, _, width = operator.matrices.shape
    out = np.empty((n_blocks, 8, plane.shape[1]), np.float32)
    for block, first in enumerate(operator.first):
        top = 8 * (first - first_block)
        np.matmul(operator.matrices[block], plane[top : top + width], out=out[block])
    return out.reshape(8 * n_blocks, plane.shape[1])

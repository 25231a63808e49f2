"""Flips, quarter turns and EXIF orientation of coefficients, exact on quantized integers.

Mirroring a plane mirrors the grid of blocks and negates the odd frequencies along the mirrored axis;
transposing a plane transposes the grid and every block, and with them the quantization table (Park and
Johnson, "RGB no more", CVPR 2023). Values of EXIF tag 274, as in the Exif specification, say what sets the
image upright: 1 nothing, 2 mirror, 3 turn by half, 4 mirror top to bottom, 5 transpose, 6 turn clockwise,
7 transpose across the other diagonal, 8 turn counterclockwise. Nothing here reads files.

Arrays are ``(64, ..., block_rows, block_cols)``, zigzag order, any signed or floating dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from freqcache.errors import SourceError
from freqcache_formats.channels import NATURAL_TO_ZIGZAG, ZIGZAG_TO_NATURAL

_Scalar = TypeVar("_Scalar", bound=np.generic)


class _Steps(NamedTuple):
    """An orientation as a transposition, then mirrorings of the result."""

    transpose: bool
    horizontal: bool
    vertical: bool


_STEPS: Final = {
    1: _Steps(False, False, False),
    2: _Steps(False, True, False),
    3: _Steps(False, True, True),
    4: _Steps(False, False, True),
    5: _Steps(True, False, False),
    6: _Steps(True, True, False),
    7: _Steps(True, True, True),
    8: _Steps(True, False, True),
}

_V, _U = np.divmod(ZIGZAG_TO_NATURAL, 8)
_TRANSPOSED: Final = NATURAL_TO_ZIGZAG[8 * _U + _V]
_ODD_V: Final = np.flatnonzero(_V % 2)
_ODD_U: Final = np.flatnonzero(_U % 2)


def flip_horizontal(coefficients: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    """Mirror left to right.

    Parameters
    ----------
    coefficients : ndarray
        (64, ..., block_rows, block_cols), zigzag order.

    Returns
    -------
    ndarray
        A new array of the same shape and dtype.

    Raises
    ------
    ValueError
        For a shape without 64 frequencies first, or an unsigned dtype.
    SourceError
        If a value has no negative in its dtype (-32768 in int16): no valid JPEG codes it.
    """
    _check(coefficients)
    return _negate(coefficients[..., ::-1].copy(), _ODD_U)


def flip_vertical(coefficients: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    """Mirror top to bottom; otherwise as :func:`flip_horizontal`."""
    _check(coefficients)
    return _negate(coefficients[..., ::-1, :].copy(), _ODD_V)


def transpose(coefficients: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    """Exchange rows and columns.

    Parameters
    ----------
    coefficients : ndarray
        (64, ..., block_rows, block_cols), zigzag order.

    Returns
    -------
    ndarray
        (64, ..., block_cols, block_rows), a new contiguous array.
    """
    _check(coefficients)
    return np.ascontiguousarray(coefficients[_TRANSPOSED].swapaxes(-1, -2))


def orient_coefficients(coefficients: npt.NDArray[_Scalar], orientation: int) -> npt.NDArray[_Scalar]:
    """Turn coefficients so that an image with this EXIF orientation stands upright.

    Parameters
    ----------
    coefficients : ndarray
        (64, ..., block_rows, block_cols), zigzag order, quantized or not, with no blocks beyond
        ceil(component size / 8): they would move with the rest.
    orientation : int
        EXIF tag 274, 1..8.

    Returns
    -------
    ndarray
        (64, ..., block_rows, block_cols), the two grid axes exchanged for 5..8; `coefficients` itself for 1.
        Quantized values need :func:`orient_quantization` of their table.

    Raises
    ------
    ValueError
        For an unknown orientation or a wrong shape.
    SourceError
        If a value cannot be negated in its dtype.
    """
    _check(coefficients)
    steps = _steps(orientation)
    if steps.transpose:
        coefficients = transpose(coefficients)
    if steps.horizontal:
        coefficients = flip_horizontal(coefficients)
    if steps.vertical:
        coefficients = flip_vertical(coefficients)
    return coefficients


def orient_quantization(table: npt.NDArray[_Scalar], orientation: int) -> npt.NDArray[_Scalar]:
    """Return the quantization table of turned coefficients: transposed for 5..8.

    Parameters
    ----------
    table : ndarray
        (64,), zigzag order.
    orientation : int
        EXIF tag 274, 1..8.

    Returns
    -------
    ndarray
        (64,), zigzag order.
    """
    if table.shape != (64,):
        msg = f"expected a quantization table of shape (64,), found {table.shape}"
        raise ValueError(msg)
    return table[_TRANSPOSED] if _steps(orientation).transpose else table


def swaps_axes(orientation: int) -> bool:
    """Whether width and height, and the sampling factors h and v, change places: true for 5..8."""
    return _steps(orientation).transpose


def is_exact(orientation: int, width: int, height: int, sampling: Sequence[tuple[int, int]]) -> bool:
    """Whether turning the coefficients gives exactly the turned image.

    It does unless mirroring would bring a padded right or bottom edge to the left or the top. An axis has no
    padded edge when every component fills its last block with true samples.

    Parameters
    ----------
    orientation : int
        EXIF tag 274, 1..8.
    width, height : int
        Pixels, as stored, before turning.
    sampling : sequence of (h, v)
        Sampling factors of each component, as stored.

    Returns
    -------
    bool
        True where :func:`orient_coefficients` may be used on all components.
    """
    steps = _steps(orientation)
    # After a transposition the horizontal mirroring acts on what was stored as rows.
    mirrors_columns = steps.vertical if steps.transpose else steps.horizontal
    mirrors_rows = steps.horizontal if steps.transpose else steps.vertical
    columns_fit = _fills_blocks(width, [h for h, _ in sampling])
    rows_fit = _fills_blocks(height, [v for _, v in sampling])
    return (columns_fit or not mirrors_columns) and (rows_fit or not mirrors_rows)


def _fills_blocks(size: int, factors: Sequence[int]) -> bool:
    """Whether size * factor / max(factors) is a whole number of blocks for every component."""
    return all(size * factor % (8 * max(factors)) == 0 for factor in factors)


def _steps(orientation: int) -> _Steps:
    if orientation not in _STEPS:
        msg = f"expected an EXIF orientation in 1..8, found {orientation!r}"
        raise ValueError(msg)
    return _STEPS[orientation]


def _check(coefficients: npt.NDArray[np.generic]) -> None:
    if coefficients.ndim < 3 or coefficients.shape[0] != 64:
        msg = f"expected coefficients (64, ..., block_rows, block_cols), found shape {coefficients.shape}"
        raise ValueError(msg)
    if coefficients.dtype.kind not in "if":
        msg = f"expected signed integers or floating values, found {coefficients.dtype}"
        raise ValueError(msg)


def _negate(owned: npt.NDArray[_Scalar], frequencies: npt.NDArray[np.intp]) -> npt.NDArray[_Scalar]:
    """Negate some frequencies of an array that belongs to the caller, in place."""
    odd: npt.NDArray[Any] = owned[frequencies]
    if odd.dtype.kind == "i" and odd.size and odd.min() == np.iinfo(odd.dtype).min:
        msg = f"coefficient {odd.min()} has no negative in {odd.dtype}"
        raise SourceError(msg)
    owned[frequencies] = -odd
    return owned

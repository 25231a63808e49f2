"""The 8x8 block DCT of JPEG on whole planes: samples to coefficients and back, in NumPy.

JPEG's DCT (ITU-T T.81, A.3.3) is the orthonormal two-dimensional DCT-II of 8x8 samples from which 128 was
subtracted (A.3.1). Arrays of coefficients have the shape ``(64, block_rows, block_cols)``, zigzag order.
Nothing here quantizes (see :mod:`freqcache.quantization`), clips or rounds: both directions are linear up to
the level shift.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache_formats.channels import ZIGZAG_TO_NATURAL

LEVEL_SHIFT: Final = 128
"""What T.81 A.3.1 subtracts from 8-bit samples before the DCT."""

_DC_OF_SHIFT: Final = 8 * LEVEL_SHIFT


@cache
def dct_matrix() -> npt.NDArray[np.float64]:
    """Return the orthonormal DCT-II of 8 samples.

    Returns
    -------
    ndarray
        (8, 8) float64, [frequency, sample], read-only; its transpose is its inverse.
    """
    frequency, sample = np.mgrid[:8, :8]
    scale = np.where(frequency == 0, np.sqrt(1 / 8), 0.5)
    matrix: npt.NDArray[np.float64] = scale * np.cos((2 * sample + 1) * frequency * np.pi / 16)
    matrix.setflags(write=False)
    return matrix


@cache
def basis(dtype: type[np.float32 | np.float64] = np.float64) -> npt.NDArray[np.floating]:
    """Return the 64 basis images of the two-dimensional DCT.

    Parameters
    ----------
    dtype : type
        ``numpy.float32`` or ``numpy.float64``.

    Returns
    -------
    ndarray
        (64, 64), [frequency in zigzag order, sample as 8 * y + x], orthonormal, read-only.
    """
    natural = np.kron(dct_matrix(), dct_matrix())
    images: npt.NDArray[np.floating] = natural[ZIGZAG_TO_NATURAL].astype(dtype)
    images.setflags(write=False)
    return images


def plane_to_blocks(plane: npt.NDArray[np.generic]) -> npt.NDArray[np.floating]:
    """Return the block DCT of a plane of samples.

    The last row and the last column are repeated up to whole blocks, as T.81 A.2.4 recommends.

    Parameters
    ----------
    plane : ndarray
        (height, width), any real dtype, on the scale of 8-bit samples (mid-gray is 128).

    Returns
    -------
    ndarray
        (64, ceil(height / 8), ceil(width / 8)), zigzag order, dequantized scale; float64 when `plane`
        is float64, else float32.

    Raises
    ------
    ValueError
        If `plane` is not two-dimensional or is empty.
    """
    if plane.ndim != 2 or 0 in plane.shape:
        msg = f"expected a non-empty plane (height, width), found shape {plane.shape}"
        raise ValueError(msg)
    dtype = np.float64 if plane.dtype == np.float64 else np.float32
    height, width = plane.shape
    rows, cols = -(-height // 8), -(-width // 8)
    padded = np.empty((8 * rows, 8 * cols), dtype)
    padded[:height, :width] = plane
    padded[height:, :width] = padded[height - 1, :width]
    padded[:, width:] = padded[:, width - 1 : width]
    # One product with the 64 basis images is faster than two of 8x8, and gives zigzag order at once.
    samples = np.ascontiguousarray(padded.reshape(rows, 8, cols, 8).transpose(0, 2, 1, 3)).reshape(-1, 64)
    coefficients: npt.NDArray[np.floating] = basis(dtype) @ samples.T
    coefficients[0] -= _DC_OF_SHIFT
    return coefficients.reshape(64, rows, cols)


def blocks_to_plane(coefficients: npt.NDArray[np.generic]) -> npt.NDArray[np.floating]:
    """Return the samples of dequantized coefficients, neither rounded nor clipped.

    Parameters
    ----------
    coefficients : ndarray
        (64, block_rows, block_cols), zigzag order, dequantized; any real dtype.

    Returns
    -------
    ndarray
        (8 * block_rows, 8 * block_cols), mid-gray is 128; float64 when `coefficients` is float64,
        else float32.

    Raises
    ------
    ValueError
        If the shape is not (64, block_rows, block_cols).
    """
    if coefficients.ndim != 3 or coefficients.shape[0] != 64:
        msg = f"expected coefficients (64, block_rows, block_cols), found shape {coefficients.shape}"
        raise ValueError(msg)
    dtype = np.float64 if coefficients.dtype == np.float64 else np.float32
    _, rows, cols = coefficients.shape
    flat: npt.NDArray[np.floating] = coefficients.reshape(64, rows * cols).astype(dtype, copy=False)
    samples = (flat.T @ basis(dtype)).reshape(rows, cols, 8, 8)
    plane: npt.NDArray[np.floating] = samples.transpose(0, 2, 1, 3).reshape(8 * rows, 8 * cols)
    plane += LEVEL_SHIFT
    return plane

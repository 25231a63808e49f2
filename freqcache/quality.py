"""How far a picture is from another one."""

from __future__ import annotations

from math import inf, log10
from typing import Any

import numpy as np
import numpy.typing as npt


def psnr(picture: npt.NDArray[Any], reference: npt.NDArray[Any], *, peak: float = 255) -> float:
    """Return the peak signal-to-noise ratio, in decibels: ``10 log10(peak**2 / mean squared difference)``.

    The mean is over all pixels and all colours.

    Parameters
    ----------
    picture, reference : ndarray
        Of one shape, any real dtype, not empty.
    peak : float
        The largest value that a pixel can have.

    Returns
    -------
    float
        Infinite for equal pictures.

    Raises
    ------
    ValueError
        If the shapes differ or are empty.
    """
    if picture.shape != reference.shape or picture.size == 0:
        msg = f"expected two pictures of one shape, found {picture.shape} and {reference.shape}"
        raise ValueError(msg)
    error = float(np.mean((picture.astype(np.float64) - reference.astype(np.float64)) ** 2))
    return inf if error == 0 else 10 * log10(peak**2 / error)

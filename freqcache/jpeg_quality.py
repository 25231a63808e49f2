"""Estimates the IJG quality that a JPEG file's quantization tables were made with.

A file does not record its quality, only its tables. Where they are those that libjpeg scales from the examples of
ITU-T T.81, Annex K.1 (:func:`freqcache.quantization.ijg_table`), the quality is known exactly; where they are others
(Photoshop, cameras, mozjpeg), the nearest quality is what a person can compare, and no more. Files are not read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.quantization import ijg_table

_UNSCALED: Final = 50
"""Quality whose tables are those of Annex K.1 themselves."""


@dataclass(frozen=True, kw_only=True)
class QualityEstimate:
    """What the tables of a file say of its quality.

    Attributes
    ----------
    quality : int
        1..100: the quality of the tables, or the nearest one.
    exact : bool
        Whether the tables are exactly those of `quality`.
    """

    quality: int
    exact: bool


def estimate_quality(luma: npt.NDArray[Any], chroma: Sequence[npt.NDArray[Any]] = ()) -> QualityEstimate:
    """Return the IJG quality of a file's quantization tables.

    Parameters
    ----------
    luma : (64,) integers
        Steps of Y, zigzag order, all positive.
    chroma : sequence of (64,) integers
        Steps of Cb and Cr, zigzag order; empty for a grayscale image.

    Returns
    -------
    QualityEstimate
        Exact where every table is that of one and the same quality. Otherwise the quality whose tables have the least
        weighted mean of ``|log(step / IJG step)|`` over all steps given, the lower one of equals. A frequency's weight
        is ``1 / step`` of Annex K.1, since the steps there are in proportion to what the eye does not see: tables that
        are flat, as Photoshop's, are judged by their low frequencies above all.

    Raises
    ------
    ValueError
        If a table does not have 64 positive steps.
    """
    tables = np.stack([np.asarray(table, dtype=np.float64) for table in (luma, *chroma)])
    if tables.shape[1:] != (64,) or not np.all(tables >= 1):
        msg = f"expected tables of 64 positive steps, found shape {tables.shape[1:]}, smallest step {tables.min()}"
        raise ValueError(msg)
    known = _known()[:, [0, *[1] * len(chroma)]]
    weights = 1 / known[_UNSCALED - 1]
    distances = (np.abs(np.log(tables) - np.log(known)) * weights).sum(axis=(1, 2))
    nearest = int(distances.argmin())
    return QualityEstimate(quality=nearest + 1, exact=bool(np.array_equal(tables, known[nearest])))


@cache
def _known() -> npt.NDArray[np.float64]:
    """Return the luma and the chroma table of each quality, (100, 2, 64)."""
    return np.array([[ijg_table(q), ijg_table(q, chroma=True)] for q in range(1, 101)], dtype=np.float64)

"""An extracted sample brought to the one grid of a fixed store, and quantized with the store's steps.

Resizing is :mod:`freqcache.resampling`'s, the steps are :mod:`freqcache.quantization`'s. Nothing here writes a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.extraction import Sample
from freqcache.quantization import fixed_steps, quantize_fixed
from freqcache.resampling.planes import to_fixed_grid
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import COLUMNS

_INT16_LIMIT: Final = 32767
"""Largest magnitude of an exact fixed cache; -32768 is the fill value. Only absurd tables reach it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedSample:
    """A sample as a fixed store holds it.

    Attributes
    ----------
    coefficients : (192, rows, columns) int8 or int16
        Quantized, storage order.
    steps : (192,) float32
        Quantization steps.
    saturated : int
        Coefficients that did not fit and were clipped.
    """

    coefficients: npt.NDArray[Any]
    steps: npt.NDArray[np.float32]
    saturated: int


def to_fixed(sample: Sample, *, size: int, exact: bool) -> FixedSample:
    """Resize, crop and quantize a sample.

    Parameters
    ----------
    sample : Sample
        As extracted, at its full size.
    size : int
        Side of the centre crop in pixels, a multiple of 8.
    exact : bool
        int16 with steps of 1 instead of int8.
    """
    absent = len(COLUMNS) - len(sample.components)
    planes = (*(part.coefficients for part in sample.components), *([None] * absent))
    tables = (*(part.quantization for part in sample.components), *([None] * absent))
    sampling = [*((part.h, part.v) for part in sample.components), *([(0, 0)] * absent)]
    dense = to_fixed_grid(planes, sampling, sample.width, sample.height, size, tables)
    if exact:
        rounded = np.rint(dense)
        clipped = np.clip(rounded, -_INT16_LIMIT, _INT16_LIMIT).astype(np.int16)
        saturated = int(np.count_nonzero(clipped != rounded))
        return FixedSample(coefficients=clipped, steps=np.ones(N_CHANNELS, dtype=np.float32), saturated=saturated)
    steps = fixed_steps()
    coefficients, saturated = quantize_fixed(dense, steps)
    return FixedSample(coefficients=coefficients, steps=steps, saturated=saturated)

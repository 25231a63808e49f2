"""Steps of a fixed cache as a JPEG file can have them: whole numbers, with values that its codes reach.

A fixed cache has one step a channel, a float32. Here is the rule by which a sample gets a quantization table:

- a step that is a whole number stays, and so do the integers: nothing changes;
- any other becomes 1, and the integers become the dequantized values, rounded: an error of at most 1/2;
- where a value would then be too large for a JPEG file (magnitudes over 1023, for DC over 1024), the step of that
  frequency, in this sample, becomes the smallest whole number with which all fit: an error of at most half of it;
- a DC value of 1024 becomes 1023: an error of at most 1. No block of 8-bit samples has it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_AC_LIMIT: Final = 1023
_DC_LIMIT: Final = 1024
_LARGEST_STEP: Final = 65_535


def whole_steps(
    quantized: npt.NDArray[np.integer[Any]], steps: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16], bool]:
    """Return one component with whole steps.

    Parameters
    ----------
    quantized : (64, block_rows, block_cols) int8 or int16
        Zigzag order.
    steps : (64,) float32
        Positive.

    Returns
    -------
    coefficients : (64, block_rows, block_cols) int16
        Magnitudes at most 1023; DC at least -1024.
    table : (64,) uint16
        Whole steps, at least 1.
    exact : bool
        Whether the dequantized values are the same.
    """
    exact = (steps == np.rint(steps)) & (steps >= 1) & (steps <= _LARGEST_STEP)
    table = np.where(exact, steps, np.float32(1))
    values = quantized.astype(np.int32)
    if not exact.all():
        values[~exact] = np.rint(quantized[~exact] * steps[~exact, None, None])
    limits = np.full(64, _AC_LIMIT)
    limits[0] = _DC_LIMIT
    largest = np.maximum(values.max(axis=(1, 2)), -values.min(axis=(1, 2)))
    over = largest > limits
    if over.any():
        dequantized = quantized[over] * steps[over, None, None].astype(np.float64)
        coarse = np.ceil(np.abs(dequantized).max(axis=(1, 2)) / limits[over]).clip(1, _LARGEST_STEP)
        table[over] = coarse
        values[over] = np.rint(dequantized / coarse[:, None, None])
    changed = (~exact & (largest > 0)) | over
    clipped = bool(values[0].max() >= _DC_LIMIT)
    if clipped:
        values[0] = values[0].clip(None, _DC_LIMIT - 1)
    return values.astype(np.int16), table.astype(np.uint16), not (changed.any() or clipped)

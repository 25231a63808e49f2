"""Statistics of dequantized coefficients per channel, summed sample by sample.

Sums are taken over the integers and scaled by each sample's steps. Accumulators of shards are merged in the order
of the shards, so the result does not depend on the number of workers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.metadata import Statistics

Float = npt.NDArray[np.float64]


_SUMS: Final = ("total", "squares", "zeros", "count", "minimum", "maximum", "means", "squared_means", "samples")
"""Rows of an accumulator: sum, sum of squares, zeros and number of coefficients; their range; sum and sum of squares of
samples' spatial means; number of samples."""


class Accumulator:
    """Sums over samples, for each of the stored channels in storage order.

    Parameters
    ----------
    n_channels : int
        How many.
    sums : (9, channels) float64, optional
        What was summed before.

    Attributes
    ----------
    sums : (9, channels) float64
        Rows by :data:`_SUMS`; a minimum and a maximum of nothing are infinite.
    """

    def __init__(self, n_channels: int = N_CHANNELS, *, sums: Float | None = None) -> None:
        if sums is None:
            sums = np.zeros((len(_SUMS), n_channels))
            sums[_SUMS.index("minimum")], sums[_SUMS.index("maximum")] = np.inf, -np.inf
        self.sums = sums

    def add(
        self,
        first_channel: int,
        coefficients: npt.NDArray[Any],
        steps: npt.NDArray[Any],
        target: npt.NDArray[Any],
        start: int,
    ) -> None:
        """Count one sample's coefficients of consecutive channels, and copy them where they belong, in one pass.

        Parameters
        ----------
        first_channel : int
            Place of the first among the stored channels.
        coefficients : (channels, block_rows, block_cols) int8 or int16
            Quantized, C-contiguous.
        steps : (channels,)
            Quantization steps.
        target : (channels, ...) array of the same dtype
            C-contiguous; each channel's coefficients go to its row, flattened, from `start` on.
        start : int
            Place in the rows.
        """
        channels = len(coefficients)
        flat, rows = coefficients.reshape(channels, -1), target.reshape(channels, -1)
        if start < 0 or start + flat.shape[1] > rows.shape[1]:
            msg = f"{flat.shape[1]} coefficients from {start} on do not fit a row of {rows.shape[1]}"
            raise ValueError(msg)
        if flat.shape[1]:
            _count_and_copy(flat, steps.astype(np.float64), rows, start, self.sums[:, first_channel:])

    def merge(self, other: Accumulator) -> None:
        """Add another accumulator's sums to these."""
        low, high = _SUMS.index("minimum"), _SUMS.index("maximum")
        least = np.minimum(self.sums[low], other.sums[low])
        most = np.maximum(self.sums[high], other.sums[high])
        self.sums += other.sums
        self.sums[low], self.sums[high] = least, most

    def result(self) -> Statistics:
        """Return the statistics; channels without any coefficient (all images gray) are zero throughout."""
        rows = dict(zip(_SUMS, self.sums, strict=True))
        count, samples = np.maximum(rows["count"], 1), np.maximum(rows["samples"], 1)
        mean, mean_of_means = rows["total"] / count, rows["means"] / samples
        counted = rows["count"] > 0
        return Statistics(
            mean=mean,
            std=np.sqrt(np.maximum(rows["squares"] / count - mean**2, 0)),
            std_of_means=np.sqrt(np.maximum(rows["squared_means"] / samples - mean_of_means**2, 0)),
            minimum=np.where(counted, rows["minimum"], 0),
            maximum=np.where(counted, rows["maximum"], 0),
            zero_fraction=rows["zeros"] / count,
            count=rows["count"].copy(),
        )


@kernel
def _count_and_copy(
    flat: npt.NDArray[Any], steps: Float, target: npt.NDArray[Any], start: int, sums: npt.NDArray[np.float64]
) -> None:
    """Copy each row of (channels, n) integers to its place and add it to the channel's sums; n is not zero.

    One loop a sum, over a row that lies in the cache: one loop for all is vectorized far worse (3.5 times the time).
    """
    channels, n = flat.shape
    for channel in range(channels):
        row, place = flat[channel], target[channel, start : start + n]
        low = high = row[0]
        total, square, zero = np.int64(0), np.int64(0), np.int64(0)
        for i in range(n):
            place[i] = row[i]
        for i in range(n):
            low = min(low, row[i])
            high = max(high, row[i])
        for i in range(n):
            total += row[i]
        for i in range(n):
            square += np.int64(row[i]) * np.int64(row[i])
        for i in range(n):
            zero += row[i] == 0
        step = steps[channel]
        mean = total * step / n
        sums[0, channel] += total * step
        sums[1, channel] += square * step * step
        sums[2, channel] += zero
        sums[3, channel] += n
        sums[4, channel] = min(sums[4, channel], low * step)
        sums[5, channel] = max(sums[5, channel], high * step)
        sums[6, channel] += mean
        sums[7, channel] += mean * mean
        sums[8, channel] += 1

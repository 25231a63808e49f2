"""Statistics of dequantized coefficients per channel, summed sample by sample.

Sums are taken over the integers and scaled by each sample's steps. Accumulators of shards are merged in the order
of the shards, so the result does not depend on the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.metadata import Statistics

Float = npt.NDArray[np.float64]


@dataclass
class Accumulator:
    """Sums over samples, each (192,) float64 in storage order.

    Attributes
    ----------
    total, squares, zeros, count : (192,) float64
        Sum, sum of squares, number of zeros and number of coefficients.
    minimum, maximum : (192,) float64
        Range so far; infinite where nothing was counted.
    means, squared_means, samples : (192,) float64
        Sum and sum of squares of samples' spatial means, and the number of samples.
    """

    total: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    squares: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    zeros: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    count: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    minimum: Float = field(default_factory=lambda: np.full(N_CHANNELS, np.inf))
    maximum: Float = field(default_factory=lambda: np.full(N_CHANNELS, -np.inf))
    means: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    squared_means: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))
    samples: Float = field(default_factory=lambda: np.zeros(N_CHANNELS))

    def add(self, first_channel: int, coefficients: npt.NDArray[Any], steps: npt.NDArray[Any]) -> None:
        """Count one sample's coefficients of consecutive channels.

        Parameters
        ----------
        first_channel : int
            Storage index of the first.
        coefficients : (channels, block_rows, block_cols) int8 or int16
            Quantized, C-contiguous.
        steps : (channels,)
            Quantization steps.
        """
        channels = len(coefficients)
        flat = coefficients.reshape(channels, -1)
        count = flat.shape[1]
        if count == 0:
            return
        here = slice(first_channel, first_channel + channels)
        steps = steps.astype(np.float64)
        totals, squares, zeros, low, high = _sums(flat)
        self.total[here] += totals * steps
        self.squares[here] += squares * steps**2
        self.zeros[here] += zeros
        self.count[here] += count
        self.minimum[here] = np.minimum(self.minimum[here], low * steps)
        self.maximum[here] = np.maximum(self.maximum[here], high * steps)
        mean = totals * steps / count
        self.means[here] += mean
        self.squared_means[here] += mean**2
        self.samples[here] += 1

    def merge(self, other: Accumulator) -> None:
        """Add another accumulator's sums to these."""
        for name in ("total", "squares", "zeros", "count", "means", "squared_means", "samples"):
            getattr(self, name).__iadd__(getattr(other, name))
        np.minimum(self.minimum, other.minimum, out=self.minimum)
        np.maximum(self.maximum, other.maximum, out=self.maximum)

    def to_array(self) -> Float:
        """Return the sums as one (9, 192) float64 array, for a worker's result."""
        return np.stack([getattr(self, name) for name in self.__dataclass_fields__])

    @classmethod
    def from_array(cls, array: Float) -> Accumulator:
        """Return the accumulator that :meth:`to_array` gave."""
        return cls(*(row.copy() for row in array))

    def result(self) -> Statistics:
        """Return the statistics; channels without any coefficient (all images gray) are zero throughout."""
        count = np.maximum(self.count, 1)
        samples = np.maximum(self.samples, 1)
        mean = self.total / count
        mean_of_means = self.means / samples
        counted = self.count > 0
        return Statistics(
            mean=mean,
            std=np.sqrt(np.maximum(self.squares / count - mean**2, 0)),
            std_of_means=np.sqrt(np.maximum(self.squared_means / samples - mean_of_means**2, 0)),
            minimum=np.where(counted, self.minimum, 0),
            maximum=np.where(counted, self.maximum, 0),
            zero_fraction=self.zeros / count,
            count=self.count.copy(),
        )


@kernel
def _sums(
    flat: npt.NDArray[Any],
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]:
    """Sum, sum of squares, zeros, minimum and maximum of each row of (channels, n) integers, each int64."""
    channels, n = flat.shape
    totals = np.zeros(channels, dtype=np.int64)
    squares = np.zeros(channels, dtype=np.int64)
    zeros = np.zeros(channels, dtype=np.int64)
    low = np.zeros(channels, dtype=np.int64)
    high = np.zeros(channels, dtype=np.int64)
    for channel in range(channels):
        least = most = np.int64(flat[channel, 0])
        total = square = zero = np.int64(0)
        for i in range(n):
            value = np.int64(flat[channel, i])
            total += value
            square += value * value
            zero += value == 0
            least = min(least, value)
            most = max(most, value)
        totals[channel], squares[channel], zeros[channel] = total, square, zero
        low[channel], high[channel] = least, most
    return totals, squares, zeros, low, high

"""From what was measured on a sample to what holds for all files, and how far that may be off.

Totals are regression estimates (Särndal, Swensson and Wretman, *Model Assisted Survey Sampling*, 1992, section 6.4):
a line through the sample's values over the sizes of the files, its value for the known sizes of all files, and what
the sample's files differ from it. Files of one kind (JPEG, PNG...) have a line of their own where enough of them were
drawn.
The variance is that of successive differences along the order of drawing (Wolter, *Introduction to Variance
Estimation*, chapter 8), or of a random sample where that is larger. Shares have Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.planning.report import Estimate, Share
from freqcache.planning.sampling import Float, Population, Sample, Whole

QUANTILE: Final = 1.96
"""Of the normal distribution: intervals hold in 95 of 100 cases."""

_LINE: Final = 16
"""Files of a kind from which it has a line of its own."""


class Estimator:
    """Estimates of one sample.

    Parameters
    ----------
    population : Population
        What is known of all files.
    sample : Sample
        Those that were measured.
    """

    def __init__(self, population: Population, sample: Sample) -> None:
        self._population, self._sample = population, sample
        self._sizes = population.sizes[sample.numbers]

    @property
    def is_everything(self) -> bool:
        """Whether every file was measured."""
        return self._sample.is_everything

    @property
    def squared_weights(self) -> float:
        """Sum of the squares of the weights; 0 where every file was measured."""
        return 0.0 if self.is_everything else float((self._sample.weights**2).sum())

    def mean(self, values: Float) -> float:
        """Return the mean over all files of what was measured on the sample's, (n,)."""
        return self.total(values).value / len(self._population)

    def total(self, values: Float, *, variance: float = 0.0) -> Estimate:
        """Return the sum over all files.

        Parameters
        ----------
        values : (n,) float64
            Of the sample's files, in its order.
        variance : float
            Of what else is uncertain in the sum.
        """
        total = 0.0
        for here, count, size in self._domains():
            weights, sizes, own = self._sample.weights[here], self._sizes[here], values[here]
            mean_size, mean = np.average(sizes, weights=weights), np.average(own, weights=weights)
            spread = np.average((sizes - mean_size) ** 2, weights=weights)
            slope = 0.0
            if len(here) >= _LINE and spread > 0:
                slope = float(np.average((sizes - mean_size) * (own - mean), weights=weights) / spread)
            total += count * float(mean + slope * (size / count - mean_size))
            residuals = own - mean - slope * (sizes - mean_size)
            variance += _variance(residuals, weights)
        deviation = QUANTILE * sqrt(variance)
        return Estimate(value=max(0.0, total), low=max(0.0, total - deviation), high=total + deviation)

    def share(self, chosen: npt.NDArray[np.bool_]) -> Share:
        """Return the share of all files that a property has; `chosen` (n,) says which of the sample's have it."""
        weights = self._sample.weights
        share = float(weights[chosen].sum() / weights.sum())
        if self._sample.is_everything:
            return Share(value=share, low=share, high=share, sampled=int(chosen.sum()))
        n = float(weights.sum() ** 2 / (weights**2).sum())  # as many equal weights say as much
        z = QUANTILE
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        return Share(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half), sampled=int(chosen.sum()))

    def _domains(self) -> Iterator[tuple[Whole, int, float]]:
        """Yield where in the sample the files of a line stand, and how many files and bytes of all they stand for."""
        population = self._population
        n_kinds = len(population.names)
        kinds = population.kinds[self._sample.numbers]
        drawn = np.bincount(kinds, minlength=n_kinds)
        count = np.bincount(population.kinds, minlength=n_kinds)
        size = np.bincount(population.kinds, weights=population.sizes, minlength=n_kinds)
        # Rare kinds share a line; where not one file of them was drawn, they go with the most frequent kind.
        line = np.where((drawn < _LINE) & (drawn < count), n_kinds, np.arange(n_kinds))
        if not drawn[line == n_kinds].sum() and np.any(line < n_kinds):
            line[line == n_kinds] = np.argmax(np.where(line < n_kinds, count, -1))
        for each in np.unique(line):
            yield np.flatnonzero(line[kinds] == each), int(count[line == each].sum()), float(size[line == each].sum())


def _variance(residuals: Float, weights: Float) -> float:
    """Return the variance of a weighted sum of residuals.

    The larger of two estimates: by differences of neighbours in the order of drawing, which knows that files were
    drawn along their size, and as of files drawn at random, which does not miss a few residuals that are far off.
    """
    n = len(residuals)
    if n < 2:
        return 0.0
    drawn = weights * residuals * np.sqrt(np.clip(1 - 1 / weights, 0, 1))  # a file drawn surely adds nothing
    neighbours = n / (2 * (n - 1)) * (np.diff(drawn) ** 2).sum()
    return float(max(neighbours, n * np.var(drawn, ddof=1)))

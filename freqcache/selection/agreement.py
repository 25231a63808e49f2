"""How well two rankings agree (Spearman's rank correlation) and how well masks do (the Jaccard index).

A network that keeps low frequencies may prefer them (spectral bias), or may only follow the energy, which the DCT
compacts into them. The correlation of what it chose with energy, with the deviation that it really sees after
normalization, and with the frequency itself are there to be set side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from freqcache_formats.channels import N_CHANNELS, N_COMPONENTS
from freqcache_formats.mask import ChannelMask

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of one ranking with another.

    Attributes
    ----------
    name : str
        What was correlated with.
    rho : float
        In -1..1; NaN where there is none.
    within : tuple of float
        The same inside Y, Cb and Cr alone: over all channels a preference for a component hides one for frequencies.
    channels : int
        Channels that both rank.
    note : str
        Why there is none, or what makes it weak; empty otherwise.
    """

    name: str
    rho: float
    within: tuple[float, ...]
    channels: int
    note: str = ""


def rank_correlation(name: str, values: Float, others: Float) -> Correlation:
    """Return Spearman's rank correlation over the channels that have both numbers.

    Numbers are compared to six significant digits: a float32 normalization makes deviations of 1 +- 1e-7, and the
    order of those says nothing. Ties take the mean of their ranks.

    Parameters
    ----------
    name : str
        Of `others`, for the result.
    values, others : (192,) float64
        In storage order; NaN for channels without a number.
    """
    both = np.isfinite(values) & np.isfinite(others)
    a, b = _to_six_digits(np.where(both, values, np.nan)), _to_six_digits(np.where(both, others, np.nan))
    parts = zip(a.reshape(N_COMPONENTS, -1), b.reshape(N_COMPONENTS, -1), strict=True)
    within = tuple(_spearman(part[0], part[1])[0] for part in parts)
    rho, note = _spearman(a, b)
    return Correlation(name=name, rho=rho, within=within, channels=int(both.sum()), note=note)


def _spearman(values: Float, others: Float) -> tuple[float, str]:
    """Return the correlation of numbers that are NaN at the same places, and what is to be said of it."""
    a, b = values[~np.isnan(values)], others[~np.isnan(others)]
    if len(a) < 3:
        return np.nan, f"only {len(a)} channels have both numbers"
    for numbers, whose in ((b, "it is"), (a, "the ranking is")):
        if (numbers == numbers[0]).all():
            return np.nan, f"no order: {whose} {numbers[0]:g} for every channel"
    value, most = _commonest(b)
    note = f"{most} of {len(b)} channels are tied at {value:g}" if most > len(b) / 2 else ""
    return float(stats.spearmanr(a, b).statistic), note


def _commonest(values: Float) -> tuple[float, int]:
    """Return the value that occurs most often, and how often."""
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()]), int(counts.max())


def _to_six_digits(values: Float) -> Float:
    return np.array([float(f"{value:.6g}") for value in values])


def jaccard(a: ChannelMask, b: ChannelMask) -> float:
    """Return the Jaccard index of two masks: channels in both over channels in either; 1 for equal ones."""
    first, second = set(a.channels), set(b.channels)
    return len(first & second) / len(first | second)


def chance_jaccard(a: int, b: int) -> float:
    """Return the expected Jaccard index of two random masks of `a` and `b` of the 192 channels."""
    common = np.arange(max(0, a + b - N_CHANNELS), min(a, b) + 1)
    weights = stats.hypergeom(N_CHANNELS, a, b).pmf(common)
    return float(np.sum(weights * common / (a + b - common)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Jaccard indices of every pair of some masks.

    Attributes
    ----------
    names : tuple of str
        Of the masks.
    matrix : (n, n) float64
        Symmetric, with ones on the diagonal.
    mean : float
        Over the pairs of different masks.
    chance : float
        What random masks of the same sizes would be expected to have as `mean`.
    """

    names: tuple[str, ...]
    matrix: Float
    mean: float
    chance: float


def agreement(masks: Sequence[tuple[str, ChannelMask]]) -> Agreement:
    """Compare two or more named masks pair by pair: of several seeds, or of several methods.

    Raises
    ------
    ValueError
        For fewer than two masks.
    """
    if len(masks) < 2:
        msg = f"expected two or more masks to compare, found {len(masks)}"
        raise ValueError(msg)
    matrix = np.array([[jaccard(a, b) for _, b in masks] for _, a in masks])
    first, second = np.triu_indices(len(masks), 1)
    sizes = [len(mask) for _, mask in masks]
    chance = [chance_jaccard(sizes[i], sizes[j]) for i, j in zip(first, second, strict=True)]
    return Agreement(
        names=tuple(name for name, _ in masks),
        matrix=matrix,
        mean=float(matrix[first, second].mean()),
        chance=float(np.mean(chance)),
    )

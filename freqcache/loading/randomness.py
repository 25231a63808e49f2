"""How random an order is, against a full shuffle.

Two measures, one for each thing that a quasi-random order lacks. Samples of one row group come close together in it:
:func:`pairs_together` counts how often they share a batch. And neighbours in the store stay neighbours in the order:
:func:`neighbour_distance` says how far apart they come. Both are 1 for a full shuffle. A rank correlation between
places in the store and in the order tells less: it is near 0 as soon as row groups are shuffled, whatever happens
inside them.

Measured orders are in ``docs/performance.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def pairs_together(order: npt.NDArray[np.integer[Any]], groups: npt.NDArray[np.integer[Any]], batch_size: int) -> float:
    """Return how many pairs of one row group share a batch, in units of what a full shuffle has.

    Parameters
    ----------
    order : (samples,) int
        Positions in the store, in the order of the visit.
    groups : (samples,) int
        Row group of each position.
    batch_size : int
        Consecutive samples that form a batch.

    Returns
    -------
    float
        1 for a full shuffle on average, more for orders that keep row groups together. NaN where no two samples are
        of one row group.
    """
    n = len(order)
    batches = np.arange(n) // batch_size
    _, together = np.unique(np.stack([batches, groups[order]]), axis=1, return_counts=True)
    _, in_group = np.unique(groups, return_counts=True)
    _, in_batch = np.unique(batches, return_counts=True)
    # Of all pairs in batches, a full shuffle has the same share of one row group as there is among all pairs.
    expected = _pairs(in_batch) * (_pairs(in_group) / max(1.0, _pairs(np.array([n]))))
    return _pairs(together) / expected if expected else float("nan")


def neighbour_distance(order: npt.NDArray[np.integer[Any]]) -> float:
    """Return the mean distance in the order between neighbours in the store, in units of what a full shuffle has.

    Parameters
    ----------
    order : (samples,) int
        Positions in the store, in the order of the visit: a permutation of at least two.

    Returns
    -------
    float
        1 for a full shuffle on average: the mean distance of two of n places is (n + 1) / 3. Near 0 for the order of
        the store.
    """
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return float(np.abs(np.diff(place)).mean() / ((len(order) + 1) / 3))


def _pairs(counts: npt.NDArray[np.integer[Any]]) -> float:
    return float((counts * (counts - 1) // 2).sum())

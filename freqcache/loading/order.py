"""The order of an epoch: which sample comes when, on one rank or on many.

A chunk holds one channel of a row group of samples, so that a row group is cheap to read and a single sample is dear.
The *groups* order is made for that: row groups in random order are dealt to lanes, and each lane is a stream of
windows, whole row groups shuffled together. Lanes are interleaved: position p of the epoch belongs to lane p mod
`lanes`. Where there are as many ranks as lanes, each rank reads row groups that no other rank reads.

An order is a function of its arguments alone: never of the rank, the number of ranks, or of workers. Rank r of R takes
every R-th sample from where the epoch stands, so that any number of ranks can go on with what is left of an epoch. It
is drawn from the bits of PCG64, which numpy keeps the same in every release, as it does not its shuffles.

Nothing is read here: positions are those of the samples that an epoch visits, in the order of the store. How random an
order is, :mod:`freqcache.loading.randomness` says.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Order: TypeAlias = Literal["stored", "groups", "random"]
Positions: TypeAlias = npt.NDArray[np.intp]

ORDER_VERSION: Final = 1
"""Of the orders that this module makes; a position in an order of another version means nothing."""

WINDOW: Final = 1024
"""Samples that are shuffled together."""

_LONG: Final = 256
"""Samples of a window, in the mean, that is worth a sort of its own."""


def epoch_order(
    groups: npt.NDArray[np.integer[Any]],
    order: Order,
    *,
    seed: int,
    epoch: int,
    lanes: int = 1,
    window: int = WINDOW,
) -> Positions:
    """Return the order of an epoch.

    Parameters
    ----------
    groups : (samples,) int
        Row group of each sample, in the order of the store.
    order : str
        ``"stored"``: each lane is a stretch of the store, from front to back; with one lane, the store itself.
        ``"groups"``: row groups in random order, shuffled in windows. ``"random"``: fully random.
    seed, epoch : int
        Not negative.
    lanes : int
        Streams that share no row group, but for one that is cut in two where a lane ends. Without meaning for
        ``"random"``.
    window : int
        Samples shuffled together by ``"groups"``, at most; a window's last row group may end beyond.

    Returns
    -------
    (samples,) intp
        A permutation of the positions.
    """
    n = len(groups)
    if order == "random":
        return np.argsort(_Bits(seed, epoch).draw(n), kind="stable")
    lanes = min(lanes, max(n, 1))  # more lanes would be empty
    ends = _lane_lengths(n, lanes).cumsum()
    if order == "stored":
        return _interleaved(np.split(np.arange(n), ends[:-1]))
    bits = _Bits(seed, epoch)
    shuffled, starts = _shuffled_groups(groups, bits)
    keys = bits.draw(n)
    begins = ends - _lane_lengths(n, lanes)
    streams = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        # A window is the row groups that begin in it. All are of about one size: a short one at the end would be a
        # few row groups hardly mixed.
        n_windows = max(1, -(-(end - begin) // window))
        first = np.maximum(starts[begin:end] - begin, 0)
        windows = first * n_windows // max(1, end - begin)
        streams.append(shuffled[begin:end][_shuffled_windows(keys[begin:end], windows)])
    return _interleaved(streams)


def share(order: Positions, *, consumed: int, rank: int, world_size: int) -> Positions:
    """Return what a rank visits of the rest of an epoch, in order.

    Parameters
    ----------
    order : (samples,) intp
        Of the whole epoch.
    consumed : int
        Samples that all ranks together have had, from the front.
    rank, world_size : int
        The rank takes every `world_size`-th sample of the rest, beginning with its own number.
    """
    return order[consumed + rank :: world_size]


def n_batches(left: int, batch_size: int, *, rank: int, world_size: int, drop_last: bool) -> int:
    """Return how many batches a rank makes of what is left of an epoch.

    With `drop_last` all ranks make as many, of `batch_size` samples each; what does not fill a batch on every rank is
    left out. Without, every sample is in a batch, and ranks may differ by one batch.
    """
    if drop_last:
        return left // (batch_size * world_size)
    mine = max(0, left - rank + world_size - 1) // world_size
    return -(-mine // batch_size)


class _Bits:
    """Random numbers that are the same in every release of numpy."""

    def __init__(self, seed: int, epoch: int) -> None:
        self._source = np.random.PCG64([seed, epoch])

    def draw(self, count: int) -> npt.NDArray[np.uint64]:
        """Return the next `count` numbers."""
        numbers: npt.NDArray[np.uint64] = self._source.random_raw(count)
        return numbers


def _lane_lengths(n: int, lanes: int) -> Positions:
    """Return how many of `n` positions belong to each lane."""
    return (n - np.arange(lanes) + lanes - 1) // lanes


def _shuffled_groups(groups: npt.NDArray[np.integer[Any]], bits: _Bits) -> tuple[Positions, Positions]:
    """Return the samples, row groups in random order; and for each place where in that order its row group begins."""
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    chosen = np.argsort(bits.draw(len(counts)), kind="stable")
    place = np.empty_like(chosen)
    place[chosen] = np.arange(len(chosen))
    sizes = counts[chosen]
    return np.argsort(place[number], kind="stable"), np.repeat(np.cumsum(sizes) - sizes, sizes)


def _shuffled_windows(keys: npt.NDArray[np.uint64], windows: Positions) -> Positions:
    """Return ``np.lexsort((keys, windows))`` for windows that never fall, which need not be sorted."""
    cuts = np.flatnonzero(np.diff(windows)) + 1
    if len(cuts) * _LONG > len(keys):  # short windows: a call for each would take longer
        return np.lexsort((keys, windows))
    order = np.empty(len(keys), dtype=np.intp)
    for begin, end in pairwise([0, *cuts.tolist(), len(keys)]):
        order[begin:end] = begin + np.argsort(keys[begin:end], kind="stable")
    return order


def _interleaved(streams: list[Positions]) -> Positions:
    """Return streams dealt out in turn; each is at most one longer than those after it."""
    order = np.empty(sum(map(len, streams)), dtype=np.intp)
    for lane, stream in enumerate(streams):
        order[lane :: len(streams)] = stream
    return order

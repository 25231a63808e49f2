"""What to read when, so that each row group is read once for all the batches that need it.

A rank's part of an epoch is a list of visits, each to a sample of some row group. Row groups are read in *portions*,
several in one call so that threads can share them, in the order in which they are first needed. A portion is held
until its last sample is in a batch.

A window's row groups are all needed at its beginning. To read them in one go would leave the readers idle before and
the trainer idle meanwhile, so they can be read *ahead*: evenly, some with every batch, at the price of up to one more
window in memory.

Numbers only; reading is :mod:`freqcache.loading.loader`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Visits = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Portions of visits, and when each is read and let go.

    Attributes
    ----------
    batch_size : int
        Visits in a batch.
    visits : (visits,) intp
        Numbers of the visits, portion after portion.
    ends : (portions,) intp
        Where each portion ends in `visits`.
    due, last : (portions,) intp
        The batch before which a portion is read, not decreasing, and the last that needs it.
    portion, row : (visits,) intp
        Of each visit: its portion, and its place in that.
    """

    batch_size: int
    visits: Visits
    ends: Visits
    due: Visits
    last: Visits
    portion: Visits
    row: Visits

    @property
    def largest(self) -> int:
        """Visits of the largest portion."""
        return int(np.diff(self.ends, prepend=0).max(initial=0))

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return -(-len(self.visits) // self.batch_size)

    def batches(self) -> Iterator[tuple[list[int], slice, list[int]]]:
        """Yield for each batch the portions to read first, its visits, and the portions to let go afterwards."""
        by_end = np.argsort(self.last, kind="stable")
        due = np.searchsorted(self.due, np.arange(self.n_batches + 1)).tolist()
        gone = np.searchsorted(self.last[by_end], np.arange(self.n_batches + 1)).tolist()
        for number in range(self.n_batches):
            visits = slice(number * self.batch_size, min((number + 1) * self.batch_size, len(self.visits)))
            read = list(range(due[number], due[number + 1]))
            yield read, visits, by_end[gone[number] : gone[number + 1]].tolist()

    def members(self, portion: int) -> Visits:
        """Return the visits of a portion, row after row."""
        return self.visits[self.ends[portion - 1] if portion else 0 : self.ends[portion]]


def plan_reads(groups: npt.NDArray[np.integer[Any]], batch_size: int, *, least: int, ahead: bool) -> Plan:
    """Return how to read the row groups of some visits.

    Parameters
    ----------
    groups : (visits,) int
        Row group of each visit, in the order of the visits.
    batch_size : int
        Visits in a batch.
    least : int
        Portions have about so many visits: whole row groups, the last of which may end beyond.
    ahead : bool
        Read evenly, ahead of need; otherwise each portion before the batch that first needs it.
    """
    n = len(groups)
    _, first, number, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    by_need = np.argsort(first)  # row groups in the order in which they are first needed
    place = np.empty_like(by_need)
    place[by_need] = np.arange(len(by_need))
    visits = np.argsort(place[number], kind="stable")
    begins = np.cumsum(counts[by_need]) - counts[by_need]
    _, opens, of_group = np.unique(begins // least, return_index=True, return_inverse=True)
    needed, starts = first[by_need][opens], begins[opens]
    portion = of_group[place[number]]
    row = np.empty(n, dtype=np.intp)
    row[visits] = np.arange(n) - starts[portion[visits]]
    last = np.zeros(len(starts), dtype=np.intp)
    np.maximum.at(last, portion, np.arange(n) // batch_size)
    if ahead:
        # The least lead at which no portion has to be read before its turn.
        lead = int((starts - needed).max(initial=0))
        due = np.maximum(starts - lead, 0) // batch_size
    else:
        due = needed // batch_size
    return Plan(
        batch_size=batch_size,
        visits=visits,
        ends=np.append(starts[1:], n) if n else starts,
        due=due,
        last=last,
        portion=portion,
        row=row,
    )

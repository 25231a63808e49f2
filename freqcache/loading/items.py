"""Makes batches of a dataset's items: from memory, one batch at a time, or row group by row group.

Which items, in which order, :mod:`freqcache.loading.epochs` says; what is read when, :mod:`freqcache.loading.portions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch
from freqcache.buffers import Buffers
from freqcache.dataset import FrequencyDataset
from freqcache.loading.order import Positions
from freqcache.loading.portions import plan_reads

PORTION: Final = 128
"""Items that are read in one call, at least: some row groups for each thread."""

_HOLD_AT_A_TIME: Final = 256

Coefficients: TypeAlias = Tensor | FrequencyBatch


class Items(Protocol):
    """Reads items, and makes batches of what it has read."""

    def read(self, indices: Positions) -> Any:
        """Read items."""

    def hold(self, indices: Positions) -> Any:
        """Read items that are held for good."""

    def gather(self, parts: Sequence[Any], part: Positions, row: Positions) -> Coefficients:
        """Return items with memory of their own, from the parts and the places in them where they were read to."""

    def release(self, part: Any) -> None:
        """Take back a part that was read and is needed no more."""


class DenseItems:
    """Items of a common grid.

    Parameters
    ----------
    dataset : FrequencyDataset
    largest : int
        Items that are read at a time, at most. Their memory is used again and again: the system takes longer to give
        and to clear fresh memory than it takes to copy.
    """

    def __init__(self, dataset: FrequencyDataset, largest: int) -> None:
        self._dataset = dataset
        self._largest = largest
        self._free: list[Tensor] = []

    def read(self, indices: Positions) -> Tensor:
        """Return items at the front of a longer tensor."""
        room = self._free.pop() if self._free else self._room(self._largest)
        self._dataset.read(indices, out=room[: len(indices)])
        return room

    def hold(self, indices: Positions) -> Tensor:
        """Return items, read a few at a time."""
        held = self._room(len(indices))
        for start in range(0, len(indices), _HOLD_AT_A_TIME):
            some = slice(start, start + _HOLD_AT_A_TIME)
            self._dataset.read(indices[some], out=held[some])
        return held

    def gather(self, parts: Sequence[Tensor], part: Positions, row: Positions) -> Tensor:
        """Return items: see :class:`Items`."""
        batch = self._room(len(part))
        to, arrays = batch.numpy(), {k: parts[k].numpy() for k in np.unique(part).tolist()}
        for place, (k, r) in enumerate(zip(part.tolist(), row.tolist(), strict=True)):
            to[place] = arrays[k][r]  # copied without the GIL
        return batch

    def release(self, part: Tensor) -> None:
        """Let a part's memory be used again."""
        self._free.append(part)

    def _room(self, items: int) -> Tensor:
        return torch.empty((items, len(self._dataset.held_channels), *self._dataset.grid), dtype=self._dataset.dtype)


class NativeItems:
    """Items that each have their own grids.

    Parameters
    ----------
    dataset : FrequencyDataset
    """

    def __init__(self, dataset: FrequencyDataset) -> None:
        self._dataset = dataset
        self._buffers = Buffers()

    def read(self, indices: Positions) -> FrequencyBatch:
        """Return items, in memory that is used again once no batch refers to it."""
        return self._dataset.read_batch(indices, allocate=self._buffers.take)

    def hold(self, indices: Positions) -> FrequencyBatch:
        """Return items in memory of their own."""
        return self._dataset.read_batch(indices)

    def gather(self, parts: Sequence[FrequencyBatch], part: Positions, row: Positions) -> FrequencyBatch:
        """Return items: see :class:`Items`."""
        chosen, number = np.unique(part, return_inverse=True)
        return FrequencyBatch.join([parts[k] for k in chosen.tolist()], number, row)

    def release(self, part: FrequencyBatch) -> None:
        """Do nothing: a part's memory goes with it."""


def items_of(dataset: FrequencyDataset, largest: int) -> Items:
    """Return what reads a dataset's items, `largest` at a time at most."""
    return DenseItems(dataset, largest) if dataset.has_grid else NativeItems(dataset)


def from_memory(dataset: FrequencyDataset, held: Any, rows: Positions, batch_size: int) -> Iterator[Coefficients]:
    """Yield batches of items held in memory, by their places there."""
    items = items_of(dataset, 0)
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        yield items.gather([held], np.zeros_like(batch), batch)


def one_by_one(dataset: FrequencyDataset, indices: Positions, batch_size: int) -> Iterator[Coefficients]:
    """Yield batches, each read by itself."""
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        yield dataset.read(batch) if dataset.has_grid else dataset.read_batch(batch)


def by_portions(
    dataset: FrequencyDataset, indices: Positions, batch_size: int, *, ahead: bool
) -> Iterator[Coefficients]:
    """Yield batches of row groups that are each read once: see :func:`freqcache.loading.portions.plan_reads`."""
    plan = plan_reads(dataset.row_groups[indices], batch_size, least=PORTION, ahead=ahead)
    items = items_of(dataset, plan.largest)
    parts: list[Any] = [None] * len(plan.ends)
    for due, visits, gone in plan.batches():
        for portion in due:
            parts[portion] = items.read(indices[plan.members(portion)])
        batch = items.gather(parts, plan.portion[visits], plan.row[visits])
        for portion in gone:
            items.release(parts[portion])
            parts[portion] = None
        yield batch

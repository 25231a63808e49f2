"""Batches of a dataset, each sample exactly once an epoch, in an order that suits the store.

There are three ways to a random order. *memory*: a split that fits is read once and then shuffled fully. *groups*: a
larger one is streamed, row groups in random order, shuffled together in windows of about a thousand samples, so that
each chunk is read once an epoch. *random*: every sample is read by itself in a fully random order, which decodes a
row group for each. Without a shuffle all three read the store from front to back. The order is a function of the
seed, the epoch and the way alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from freqcache.dataset import FrequencyDataset

_WINDOW: Final = 1024
_READ_BATCH: Final = 256

Access: TypeAlias = Literal["auto", "memory", "groups", "random"]

IN_MEMORY_BYTES: Final = 2 << 30
"""Items that take at most so much are held in memory."""


class FrequencyLoader:
    """Iterates over batches of (coefficients, labels).

    Parameters
    ----------
    dataset : FrequencyDataset
        With a common grid.
    batch_size : int
        Samples in a batch; the last may be smaller.
    shuffle : bool
        Random order, another one each epoch; otherwise the order of the store.
    seed : int
        Of the order.
    drop_last : bool
        Leave out a last batch that is not full.
    indices : array of int, optional
        The items to visit; all by default.
    access : str
        ``"memory"``, ``"groups"`` or ``"random"``, as above; ``"auto"`` is memory for items that take at most 2 GiB,
        else groups, on every machine alike: the orders differ, and the same seed must give the same run.

    Attributes
    ----------
    access : str
        The way chosen: never ``"auto"``.
    """

    def __init__(
        self,
        dataset: FrequencyDataset,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool = False,
        indices: npt.NDArray[np.integer[Any]] | None = None,
        access: Access = "auto",
    ) -> None:
        if batch_size < 1:
            msg = f"batch_size: expected at least 1, found {batch_size}"
            raise ValueError(msg)
        if access not in get_args(Access):
            msg = f"access: expected one of {', '.join(get_args(Access))}, found {access!r}"
            raise ValueError(msg)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self.indices = np.arange(len(dataset)) if indices is None else np.sort(np.asarray(indices, dtype=np.intp))
        if access == "auto":
            access = "memory" if self.n_bytes <= IN_MEMORY_BYTES else "groups"
        self.access = access
        self._held: Tensor | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of all items in memory."""
        rows, columns = self.dataset.grid
        return len(self.indices) * len(self.dataset.channels) * rows * columns * self.dataset.dtype.itemsize

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        full, rest = divmod(len(self.indices), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        ways = {"memory": self._from_memory, "groups": self._by_groups, "random": self._one_by_one}
        for coefficients, labels in ways[self.access](rng):
            if len(labels) == self.batch_size or not self.drop_last:
                yield coefficients, labels

    def _from_memory(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        if self._held is None:
            parts = np.split(self.indices, range(_READ_BATCH, len(self.indices), _READ_BATCH))
            held, start = self._room(len(self.indices)), 0
            for part in parts:
                self.dataset.read(part, out=held[start : start + len(part)])
                start += len(part)
            self._held = held
        order = np.arange(len(self.indices))
        if self.shuffle:
            rng.shuffle(order)
        for batch in self._batches(order):
            yield self._held[torch.from_numpy(batch)], self._labels(self.indices[batch])

    def _one_by_one(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        order = rng.permutation(self.indices) if self.shuffle else self.indices
        for batch in self._batches(order):
            yield self.dataset.read(batch), self._labels(batch)

    def _by_groups(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        groups = self.dataset.row_groups[self.indices]
        order, sizes = np.unique(groups, return_counts=True)
        enough = _WINDOW if self.shuffle else self.batch_size
        window = self._room(min(len(groups), enough + self.batch_size + int(sizes.max(initial=0))))
        left = np.empty(0, dtype=np.intp)
        if self.shuffle:
            rng.shuffle(order)
        starts = np.searchsorted(groups, order, side="left")
        ends = np.searchsorted(groups, order, side="right")
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            members = self.indices[start:end]
            self.dataset.read(members, out=window[len(left) : len(left) + len(members)])
            left = np.concatenate([left, members])
            last = number == len(order) - 1
            if len(left) < enough and not last:
                continue
            mixed = rng.permutation(len(left)) if self.shuffle else np.arange(len(left))
            whole = len(left) if last else len(left) // self.batch_size * self.batch_size
            for batch in self._batches(mixed[:whole]):
                yield window[torch.from_numpy(batch)], self._labels(left[batch])
            rest = mixed[whole:]
            window[: len(rest)] = window[torch.from_numpy(rest)]
            left = left[rest]

    def _room(self, items: int) -> Tensor:
        """Return memory for some items."""
        return torch.empty((items, len(self.dataset.channels), *self.dataset.grid), dtype=self.dataset.dtype)

    def _batches(self, order: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _labels(self, indices: npt.NDArray[np.intp]) -> Tensor:
        return torch.from_numpy(self.dataset.labels[indices])

"""Batches of a dataset, each sample exactly once an epoch, in an order that suits the store.

There are three ways to a random order. *memory*: a split that fits is read once and then shuffled fully. *groups*: a
larger one is streamed, row groups in random order, shuffled together in windows of about a thousand samples, so that
each chunk is read once an epoch. *random*: every sample is read by itself in a fully random order, which decodes a
row group for each. Without a shuffle all three read the store from front to back. The orders are
:mod:`freqcache.loading.order`'s.

On several ranks each sample is on one of them. A loader can stop anywhere in an epoch and another go on, with other
ranks, batches and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch
from freqcache.dataset import FrequencyDataset
from freqcache.loading.epochs import Epochs, Indices, Pass, whole
from freqcache.loading.items import by_portions, from_memory, items_of, one_by_one
from freqcache.loading.order import WINDOW
from freqcache.loading.placing import Mover, Sent
from freqcache.loading.prefetch import Prefetched

Access: TypeAlias = Literal["auto", "memory", "groups", "random"]

IN_MEMORY_BYTES: Final = 2 << 30
"""Items that take at most so much are held in memory."""


class FrequencyLoader(Epochs):
    """Iterates over batches of (coefficients, labels).

    Parameters
    ----------
    dataset : FrequencyDataset
        Its ``threads`` read row groups, without the GIL.
    batch_size : int
        Samples in a batch of this rank; the last may be smaller.
    shuffle : bool
        Random order, another one each epoch; otherwise the order of the store.
    seed : int
        Of the order.
    drop_last : bool
        Leave out batches at the end that are not full on every rank, so that all ranks have as many. Training on
        several ranks wants it; an evaluation wants every sample once, and then ranks may differ by one sample.
    indices : array of int, optional
        The items to visit; all by default.
    access : str
        ``"memory"``, ``"groups"`` or ``"random"``, as above; ``"auto"`` is memory for items that take at most 2 GiB,
        else groups, on every machine alike: the orders differ, and the same seed must give the same run.
    rank, world_size : int
        This process among those that share the epoch.
    lanes : int, optional
        Streams that the order is made of, each of row groups of its own: by default as many as there are ranks when
        a run starts. Keep it when their number changes, as :meth:`load_state_dict` does: the order depends on it. A
        number of ranks that divides it reads each row group once, another one up to once a rank.
    prefetch : int
        Batches that a background thread makes ahead; 0 for no thread.
    pin_memory : bool
        Batches in page-locked memory, where there is CUDA.
    device : torch.device or str, optional
        Batches come on this device; to a GPU they are copied beside its work, at most `prefetch` of them ahead.
    transform : callable, optional
        Applied to the coefficients, on the device, where batches are received.
    window : int
        Samples that ``"groups"`` shuffles together.

    Attributes
    ----------
    access : str
        The way chosen: never ``"auto"``.

    Raises
    ------
    IndexError
        If an index is outside the dataset.
    ValueError
        If an argument is out of its range, or there are fewer samples than ranks need.

    Notes
    -----
    Coefficients are a (batch, channels, block_rows, block_cols) tensor of the dataset's dtype, or a
    :class:`~freqcache.batches.FrequencyBatch` where its items have no common grid.

    Iterations are independent of each other: each has a thread of its own. The state follows the one that was begun
    last. An error of the thread is raised where batches are received, after the batches before it. An iteration that
    is dropped ends its thread.

    Memory, on each rank: ``"memory"`` holds all items. ``"groups"`` holds one window and reads ahead up to another,
    which is 2 x 1024 samples by default (147 MiB for 24 channels of 56x56 blocks, 1.2 GiB for all); without
    `prefetch` it reads no further than it must. Where lanes are more than ranks it is so much for each of a rank's
    lanes. ``"random"`` holds no more than a batch. Batches that are made ahead come on top.
    """

    def __init__(
        self,
        dataset: FrequencyDataset,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool = False,
        indices: Indices | None = None,
        access: Access = "auto",
        rank: int = 0,
        world_size: int = 1,
        lanes: int | None = None,
        prefetch: int = 2,
        pin_memory: bool = False,
        device: torch.device | str | None = None,
        transform: Callable[[Any], Any] | None = None,
        window: int = WINDOW,
    ) -> None:
        if access not in get_args(Access):
            msg = f"access: expected one of {', '.join(get_args(Access))}, found {access!r}"
            raise ValueError(msg)
        super().__init__(
            dataset,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            indices=indices,
            rank=rank,
            world_size=world_size,
            lanes=lanes,
            window=window,
        )
        if access == "auto":
            fits = dataset.n_bytes(self.indices, most=IN_MEMORY_BYTES) <= IN_MEMORY_BYTES
            access = "memory" if fits else "groups"
        self.access = access
        self.order = "groups" if access == "groups" else "random"
        self.prefetch = whole("prefetch", prefetch, least=0)
        self.transform = transform
        self._mover = Mover(device, pin_memory=pin_memory)
        self._held: Any = None

    @property
    def n_bytes(self) -> int:
        """Bytes of all items in memory."""
        return self.dataset.n_bytes(self.indices)

    def __iter__(self) -> Iteration:
        return Iteration(self)

    def _send(self, visit: Pass) -> Generator[Sent]:
        """Make an iteration's batches; in a thread, where there is one."""
        items, size = self._visits(visit), self.batch_size
        for number, coefficients in enumerate(self._read(items)):
            labels = torch.from_numpy(self.dataset.labels_of(items[number * size : (number + 1) * size]))
            yield self._mover.send(coefficients, labels)

    def _read(self, items: Any) -> Iterator[Tensor | FrequencyBatch]:
        if self.access == "memory":
            if self._held is None:  # at worst two threads read the same
                self._held = items_of(self.dataset, 0).hold(self.indices)
            return from_memory(self.dataset, self._held, np.searchsorted(self.indices, items), self.batch_size)
        if self.access == "random" and self.shuffle:
            return one_by_one(self.dataset, items, self.batch_size)
        return by_portions(self.dataset, items, self.batch_size, ahead=self.prefetch > 0)


class Iteration(Iterator[tuple[Any, Tensor]]):
    """The batches of one epoch, or of the rest of it.

    Parameters
    ----------
    loader : FrequencyLoader
    """

    def __init__(self, loader: FrequencyLoader) -> None:
        self._loader = loader
        self._pass = loader._begin()
        source = loader._send(self._pass)
        self._sent = Prefetched(source, loader.prefetch) if loader.prefetch else source

    def __next__(self) -> tuple[Any, Tensor]:
        try:
            sent = next(self._sent)
        except StopIteration:
            self._loader._receive(self._pass, 0)
            raise
        try:
            coefficients, labels = self._loader._mover.receive(sent)
            if self._loader.transform is not None:
                coefficients = self._loader.transform(coefficients)
        except BaseException as error:
            self.close()  # the error's traceback may keep this object for long
            if isinstance(error, StopIteration):  # it would end the epoch as if nothing had happened
                msg = "the transform raised StopIteration"
                raise RuntimeError(msg) from error
            raise
        self._loader._receive(self._pass)
        return coefficients, labels

    def close(self) -> None:
        """End the iteration and wait for its thread; dropping it ends the thread without waiting."""
        self._sent.close()

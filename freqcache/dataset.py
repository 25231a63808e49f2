"""A torch Dataset over one split of a cache that reads only the masked channels.

Items are what the store holds: quantized integers of a fixed cache, to be scaled on the device; or, of a native
cache, either each component at its own grid, or (with `size`) the image resized and cropped to a common grid by
the linear operator of :mod:`freqcache.resampling`. With a `crop`, which a transform does later on the device, the
frequencies that it needs are read. Batching and order are :mod:`freqcache.loading`'s; augmentation and normalization
are modules of :mod:`freqcache.transforms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from freqcache.batches import FrequencyBatch
from freqcache.crops import CentreCrop, Crop
from freqcache.errors import MaskError, StoreError
from freqcache.normalization import measure
from freqcache.resampling.operator import resample
from freqcache.spread import spread
from freqcache.store import FixedSplit, NativeSample, NativeSplit, Store, open_store
from freqcache.store.native import Allocate
from freqcache.superset import TOLERANCE, Policy, Reading, Sizes, check_policy, plan_reading
from freqcache_formats.channels import N_COMPONENTS
from freqcache_formats.layout import BLOCK_SIZE
from freqcache_formats.mask import ChannelMask

_PLANNING_SAMPLES: Final = 64
_REMOTE_THREADS: Final = 8
_COUNTED: Final = 16_384
"""Items whose sizes are looked up at a time."""

_TRAIN_SPLITS: Final = ("train", "all")


class FrequencyDataset(Dataset[tuple[Any, int]]):
    """Masked coefficients and labels of one split.

    Parameters
    ----------
    path : path, URL or Store
        A store. One that :func:`freqcache.open` opened, where it is to be opened in a particular way.
    split : str
        One of its splits.
    channels : ChannelMask, preset name or path of a mask.json, optional
        The channels to read; all that the store holds by default: the 192 of an ordinary one.
    size : int, optional
        Native caches only: short side resized to `size` pixels, centre crop, chroma on the luma grid. Without it a
        native cache's items are :class:`~freqcache.store.NativeSample`, each of its own size.
    crop : CentreCrop or RandomResizedCrop, optional
        What a transform will do to the items: they hold the channels that :attr:`channels` are made of then. Not
        together with `size`.
    policy : str
        For `size` and `crop`: ``"exact"`` reads every frequency that a resize mixes into the wanted ones; ``"fast"``
        leaves out what is expected to matter less than `tolerance`. See :attr:`reading`.
    tolerance : float
        For ``"fast"``: the root mean square error allowed in a channel, as a share of its deviation.
    threads : int, optional
        Row groups read and decoded at a time; what is read does not depend on it. 1 by default; of a store at a URL 8,
        most of which wait.

    Attributes
    ----------
    channels : ChannelMask
        The channels wanted, in storage order.
    slots : (samples,) intp
        Position in the store of each item.
    labels : (samples,) int64
        Class of each item.
    scale : (held channels,) float32 tensor
        ``item * scale[:, None, None]`` are dequantized coefficients.

    Raises
    ------
    StoreError, FormatError, MaskError
        If the store, the split, the mask or the size do not fit together.

    Notes
    -----
    Picklable and safe under fork and spawn: files are opened by the process that reads.
    """

    def __init__(
        self,
        path: str | Path | Store,
        *,
        split: str = "train",
        channels: ChannelMask | str | Path | None = None,
        size: int | None = None,
        crop: Crop | None = None,
        policy: Policy = "exact",
        tolerance: float = TOLERANCE,
        threads: int | None = None,
    ) -> None:
        self.store: Store = path if isinstance(path, Store) else open_store(path)
        self.channels = self.store.channels if channels is None else ChannelMask.load(channels)
        self.store.check_holds(self.channels)
        if self.store.kind == "fixed" and size is not None:
            msg = f"{self.store.location}: a fixed cache has one size; size={size} is for native caches"
            raise StoreError(msg)
        if size is not None and (size < BLOCK_SIZE or size % BLOCK_SIZE):
            msg = f"size: expected a positive multiple of {BLOCK_SIZE} pixels, found {size}"
            raise StoreError(msg)
        check_policy(policy, tolerance)
        if size is not None and crop is not None:
            msg = f"expected a size or a crop, found size={size} and {crop}"
            raise StoreError(msg)
        if crop is not None and not callable(getattr(crop, "draw", None)):
            msg = f"crop: expected a CentreCrop or a RandomResizedCrop, found {crop!r}"
            raise StoreError(msg)
        if threads is None:
            threads = _REMOTE_THREADS if self.store.is_remote else 1
        if threads < 1:
            msg = f"threads: expected at least 1, found {threads}"
            raise StoreError(msg)
        self.size = size
        self.crop = crop
        self.policy: Policy = policy
        self.tolerance = tolerance
        self._resizes = None if size is None else CentreCrop(size=size)
        self.threads = threads
        self._open(split)

    def _open(self, split: str) -> None:
        """Take the items of a split."""
        self._split = self.store[split]
        self._forget("slots", "labels", "row_groups")
        # Whatever stands at the path later: its chunks are checked against what was read here, and all of this store.
        self._split.open()  # first: it fetches the steps of the scale with everything else
        self._set_scale()
        self.store.check_same()

    @cached_property
    def slots(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; position in the store of each item."""
        return self._confirmed(self._split.slots)

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(samples,) int64; class of each item."""
        return self._confirmed(self._of_items(self._split.labels))

    @cached_property
    def row_groups(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; the row group of each item."""
        return self._confirmed(self._of_items(self._split.row_groups))

    def _of_items(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return those of all slots' values that are items'."""
        return values if len(self) == len(values) else values[self.slots]

    def _confirmed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what was just read, if it was read of this store and not of another in its place."""
        self.store.check_same()
        return values

    def labels_of(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Return ``labels[indices]``, of which no more is read than it needs."""
        slots = self._split.slots_of(self._checked(indices))
        return self._split.take(["label"], slots)["label"]

    def _forget(self, *more: str) -> None:
        """Forget what was worked out for other channels, and whatever else is named."""
        for known in ("reading", "channel_bytes", *more):
            self.__dict__.pop(known, None)

    def _set_scale(self) -> None:
        steps = np.ones(len(self.held_channels), dtype=np.float32)
        if isinstance(self._split, FixedSplit):
            steps = self._split.quantization[self.held_channels.indices]
        self.scale = torch.from_numpy(steps.copy())

    def with_channels(self, channels: ChannelMask | str | Path) -> FrequencyDataset:
        """Return the same dataset of other channels; both share what was read of the split, and its open files."""
        other = copy(self)
        other.channels = ChannelMask.load(channels)
        other._forget()
        other._set_scale()
        return other

    @property
    def split(self) -> str:
        """Name of the split."""
        return self._split.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.store.classes

    @property
    def cache_id(self) -> str:
        """The store's id."""
        return self.store.id

    @property
    def cache_path(self) -> str:
        """The store's absolute path, or its URL."""
        return self.store.location

    @property
    def has_grid(self) -> bool:
        """Whether all items have the same grid: they do but for a native cache without `size`."""
        return self.size is not None or isinstance(self._split, FixedSplit)

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of an item.

        Raises
        ------
        StoreError
            For a native cache without `size`, whose items have no common grid.
        """
        if isinstance(self._split, FixedSplit):
            return self._split.grid
        if self.size is None:
            msg = f"{self.store.location}: samples of a native cache have no common grid; give a size"
            raise StoreError(msg)
        return self.size // BLOCK_SIZE, self.size // BLOCK_SIZE

    @property
    def dtype(self) -> torch.dtype:
        """Of an item's coefficients: int8 or int16 quantized, float32 where they were resized."""
        if isinstance(self._split, FixedSplit):
            return torch.from_numpy(np.empty(0, dtype=self._split.dtype)).dtype
        return torch.int16 if self.size is None else torch.float32

    @cached_property
    def reading(self) -> Reading:
        """What is read to make :attr:`channels`, and the error that is expected of it."""
        crop = self._resizes or self.crop
        if crop is None:
            return Reading(channels=self.channels, policy=self.policy, error=np.zeros(len(self.channels)))
        variance = self._split.statistics.std**2
        groups = np.unique(self.row_groups)
        wanted = -(-_PLANNING_SAMPLES * len(groups) // max(len(self), 1))
        some = np.flatnonzero(np.isin(self.row_groups, groups[spread(len(groups), wanted)]))
        some = some[spread(len(some), _PLANNING_SAMPLES)]
        try:
            return plan_reading(
                self.channels,
                crop,
                self._sizes(),
                variance,
                lambda channels: self._read_channels(some, channels),
                policy=self.policy,
                tolerance=self.tolerance,
                threads=self.threads,
                stored=self.store.channels,
            )
        except MaskError as error:
            msg = f"{self.store.location}: {error}"
            raise MaskError(msg) from error

    @property
    def source_channels(self) -> ChannelMask:
        """The channels that are read."""
        return self.reading.channels

    @property
    def held_channels(self) -> ChannelMask:
        """The channels of an item: those read, where the crop is left to a transform, else :attr:`channels`."""
        return self.channels if self.crop is None else self.source_channels

    @property
    def bytes_per_image(self) -> float:
        """Mean stored bytes that a sample's masked channels take."""
        return self._split.stored_bytes(self.source_channels) / max(1, len(self))

    @cached_property
    def channel_bytes(self) -> npt.NDArray[np.float64]:
        """Mean stored bytes of a sample in each of :attr:`channels`, (channels,)."""
        return self._split.channel_bytes()[self.channels.indices] / max(1, len(self))

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, int]] | FrequencyBatch:
        """Return several items at the cost of one read each row group; torch's DataLoader calls this."""
        if not self.has_grid:
            return self.read_batch(indices)
        checked = self._checked(indices)
        return list(zip(self.read(checked), self.labels_of(checked).tolist(), strict=True))

    def n_bytes(self, indices: npt.NDArray[np.integer[Any]], most: int | None = None) -> int:
        """Return the bytes that some items take in memory; with `most`, no more are counted once they are more."""
        if isinstance(self._split, NativeSplit) and not self.has_grid:
            total = 0
            for start in range(0, len(indices), _COUNTED):
                slots = self._split.slots_of(np.asarray(indices[start : start + _COUNTED], dtype=np.intp))
                total += self._split.n_bytes(slots, self.held_channels)
                if most is not None and total > most:
                    break
            return total
        rows, columns = self.grid
        return len(indices) * len(self.held_channels) * rows * columns * self.dtype.itemsize

    def read_batch(
        self, indices: Sequence[int] | npt.NDArray[np.integer[Any]], *, allocate: Allocate = np.empty
    ) -> FrequencyBatch:
        """Return items as they are read: :attr:`source_channels`, not yet resized.

        Parameters
        ----------
        indices : sequence of int
            Items, in any order.
        allocate : callable
            Makes the memory for native items: see :meth:`freqcache.store.NativeSplit.read`.

        Raises
        ------
        StoreError
            If a chunk is missing or damaged.
        """
        return self._read_channels(self._checked(indices), self.source_channels, allocate)

    def _read_channels(
        self, items: npt.NDArray[np.intp], channels: ChannelMask, allocate: Allocate = np.empty
    ) -> FrequencyBatch:
        slots = self._split.slots_of(items)
        labels = self._split.take(["label"], slots)["label"]
        if isinstance(self._split, NativeSplit):
            read = self._split.read(slots, channels, threads=self.threads, allocate=allocate)
            return FrequencyBatch.from_native(read, channels, labels)
        dense = torch.from_numpy(self._split.read(slots, channels, threads=self.threads))
        steps = torch.from_numpy(self._split.quantization[channels.indices])
        return FrequencyBatch.from_dense(dense, channels, steps, torch.from_numpy(labels))

    def read(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]], out: Tensor | None = None) -> Tensor:
        """Return a batch of items' coefficients.

        Parameters
        ----------
        indices : sequence of int
            Items, in any order.
        out : (len(indices), held channels, block_rows, block_cols) tensor of :attr:`dtype`, optional
            Contiguous, in main memory: read into it rather than into a new one.

        Returns
        -------
        (len(indices), held channels, block_rows, block_cols) tensor of :attr:`dtype`

        Raises
        ------
        StoreError
            For a native cache without `size`, or if a chunk is missing or damaged.
        ValueError
            If `out` does not fit.
        """
        items = self._checked(indices)
        shape = (len(items), len(self.held_channels), *self.grid)
        if out is None:
            out = torch.empty(shape, dtype=self.dtype)
        elif tuple(out.shape) != shape or out.dtype != self.dtype:
            msg = f"out: expected {self.dtype} of shape {shape}, found {out.dtype} of shape {tuple(out.shape)}"
            raise ValueError(msg)
        if isinstance(self._split, FixedSplit):
            self._split.read(self._split.slots_of(items), self.held_channels, out=out.numpy(), threads=self.threads)
        elif self._resizes is not None:
            batch = self._read_channels(items, self.source_channels)
            crops = self._resizes.draw(batch.width, batch.height)
            out.copy_(resample(batch, crops, self.channels, threads=self.threads))
        return out

    def normalization(self) -> tuple[Tensor, Tensor]:
        """Return the mean and true standard deviation of the dequantized coefficients of :attr:`channels`.

        Of the training split where there is one. A resize changes the spectrum: with `size` or `crop` they are
        measured on up to 512 samples spread over the split, cropped as they will be (random crops by a fixed seed).

        Returns
        -------
        mean, std : (channels,) float32 tensor
            A deviation of zero (a channel that never varies) is given as 1.
        """
        split = next((name for name in _TRAIN_SPLITS if name in self.store.splits), self.split)
        crop = self._resizes or self.crop
        if crop is None:
            statistics = self.store[split].statistics
            mean, std = statistics.mean[self.channels.indices], statistics.std[self.channels.indices]
        else:
            dataset = self if split == self.split else self._sibling(split)
            mean, std = measure(dataset.read_batch, len(dataset), crop, self.channels, threads=self.threads)
        std = np.where(std > 0, std, 1)
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def _sibling(self, split: str) -> FrequencyDataset:
        """Return the same dataset of another split."""
        sibling = copy(self)
        sibling._open(split)
        return sibling

    def _sizes(self) -> Sizes:
        """Return the geometry of all items."""
        if isinstance(self._split, FixedSplit):
            rows, columns = self._split.grid
            return Sizes(
                blocks=np.tile(np.array([rows, columns], dtype=np.int32), (1, N_COMPONENTS, 1)),
                sampling=np.ones((1, N_COMPONENTS, 2), dtype=np.uint8),
                width=np.array([BLOCK_SIZE * columns], dtype=np.int32),
                height=np.array([BLOCK_SIZE * rows], dtype=np.int32),
            )
        names = ("blocks", "sampling", "width", "height")
        return Sizes(**{name: self._split.values(name)[self.slots] for name in names})

    def _checked(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.intp]:
        given = np.asarray(indices)
        if given.dtype == np.bool_:
            msg = "indices: expected numbers of items, found a mask of booleans"
            raise TypeError(msg)
        checked = given.astype(np.intp)
        outside = checked[(checked < -len(self)) | (checked >= len(self))]
        if len(outside):
            # IndexError is what ends a for loop over a sequence; a message makes it useful elsewhere.
            msg = f"index {outside[0]} is outside the {len(self)} samples of split {self.split!r}"
            raise IndexError(msg)
        return checked % max(1, len(self))


def collate(items: list[tuple[Tensor, int]] | FrequencyBatch) -> tuple[Tensor | FrequencyBatch, Tensor]:
    """Return a batch of a dataset's items and its labels: the ``collate_fn`` of a torch DataLoader.

    Parameters
    ----------
    items : list of (Tensor, int) or FrequencyBatch
        What :class:`FrequencyDataset` gives a DataLoader.

    Returns
    -------
    coefficients : (batch, channels, block_rows, block_cols) tensor or FrequencyBatch
        Items of a common grid stacked, others as they are.
    labels : (batch,) int64 tensor

    Raises
    ------
    TypeError
        For native samples one by one: a dataset between the DataLoader and the :class:`FrequencyDataset` does not
        pass on ``__getitems__``.
    """
    if isinstance(items, FrequencyBatch):
        return items, items.labels
    if isinstance(items[0][0], NativeSample):
        msg = "samples of different grids cannot be stacked: give the DataLoader the dataset itself, or a size"
        raise TypeError(msg)
    coefficients, labels = default_collate(items)
    return coefficients, labels

"""A torch Dataset over one split of a cache that reads only the masked channels.

Items are what the store holds: quantized integers of a fixed cache, to be scaled on the device; or, of a native
cache, either each component at its own grid, or (with `size`) the image resized and cropped to a common grid by
the linear operator of :mod:`freqcache.resample`. Batching and order are :mod:`freqcache.loader`'s; augmentation and
normalization are modules of :mod:`freqcache.transforms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from freqcache.batches import FrequencyBatch
from freqcache.errors import StoreError
from freqcache.quantization import dequantize
from freqcache.resample import to_fixed_grid
from freqcache.store import FixedSplit, NativeSample, NativeSplit, Store, open_store
from freqcache_formats.channels import N_FREQUENCIES
from freqcache_formats.layout import BLOCK_SIZE
from freqcache_formats.mask import ChannelMask

_NORMALIZATION_SAMPLES: Final = 512
_TRAIN_SPLITS: Final = ("train", "all")


class FrequencyDataset(Dataset[tuple[Any, int]]):
    """Masked coefficients and labels of one split.

    Parameters
    ----------
    path : path
        A store.
    split : str
        One of its splits.
    channels : ChannelMask, preset name or path of a mask.json, optional
        The channels to read; all 192 by default.
    size : int, optional
        Native caches only: short side resized to `size` pixels, centre crop, chroma on the luma grid. Without it a
        native cache's items are :class:`~freqcache.store.NativeSample`, each of its own size.
    threads : int
        Row groups read and decoded at a time; what is read does not depend on it.

    Attributes
    ----------
    channels : ChannelMask
        The channels of an item, in storage order.
    slots : (samples,) intp
        Position in the store of each item.
    labels : (samples,) int64
        Class of each item.
    scale : (channels,) float32 tensor
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
        path: str | Path,
        *,
        split: str = "train",
        channels: ChannelMask | str | Path | None = None,
        size: int | None = None,
        threads: int = 1,
    ) -> None:
        self.store: Store = open_store(path)
        self.channels = ChannelMask.load("192" if channels is None else channels)
        self._split = self.store[split]
        if self.store.kind == "fixed" and size is not None:
            msg = f"{path}: a fixed cache has one size; size={size} is for native caches"
            raise StoreError(msg)
        if size is not None and (size < BLOCK_SIZE or size % BLOCK_SIZE):
            msg = f"size: expected a positive multiple of {BLOCK_SIZE} pixels, found {size}"
            raise StoreError(msg)
        if threads < 1:
            msg = f"threads: expected at least 1, found {threads}"
            raise StoreError(msg)
        self.size = size
        self.threads = threads
        self.slots = self._split.slots
        self.labels = self._split.labels[self.slots]
        self.row_groups = self._split.row_groups[self.slots]
        steps = np.ones(len(self.channels), dtype=np.float32)
        if isinstance(self._split, FixedSplit):
            steps = self._split.quantization[self.channels.indices]
        self.scale = torch.from_numpy(steps.copy())
        # Whatever stands at the path later: its chunks are checked against what was read here, and all of this store.
        self._split.open()
        self.store.check_same()

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

    @property
    def source_channels(self) -> ChannelMask:
        """The channels that are read to make :attr:`channels`.

        Resizing a plane mixes its frequencies, so with `size` every frequency of each wanted component is read.
        """
        if self.size is None:
            return self.channels
        wanted = [c for c, frequencies in enumerate(self.channels.frequencies) if len(frequencies)]
        every = [c * N_FREQUENCIES + k for c in wanted for k in range(N_FREQUENCIES)]
        return ChannelMask.from_indices(every, name=f"all frequencies for {self.channels.name}")

    @property
    def bytes_per_image(self) -> float:
        """Mean stored bytes that a sample's masked channels take."""
        return self._split.stored_bytes(self.source_channels) / max(1, len(self))

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, int]] | FrequencyBatch:
        """Return several items at the cost of one read each row group; torch's DataLoader calls this."""
        if not self.has_grid:
            return self.read_batch(indices)
        checked = self._checked(indices)
        return list(zip(self.read(checked), self.labels[checked].tolist(), strict=True))

    def n_bytes(self, indices: npt.NDArray[np.integer[Any]]) -> int:
        """Return the bytes that some items take in memory."""
        if isinstance(self._split, NativeSplit) and not self.has_grid:
            return self._split.n_bytes(self.slots[indices], self.channels)
        rows, columns = self.grid
        return len(indices) * len(self.channels) * rows * columns * self.dtype.itemsize

    def read_batch(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> FrequencyBatch:
        """Return items of a native cache, each at its own grids.

        Parameters
        ----------
        indices : sequence of int
            Items, in any order.

        Raises
        ------
        StoreError
            If the items have a common grid, or a chunk is missing or damaged.
        """
        if not isinstance(self._split, NativeSplit) or self.has_grid:
            rows, columns = self.grid
            msg = f"{self.store.location}: its items have a common grid of {rows}x{columns} blocks: use read"
            raise StoreError(msg)
        checked = self._checked(indices)
        read = self._split.read(self.slots[checked], self.channels, threads=self.threads)
        return FrequencyBatch.from_native(read, self.channels, self.labels[checked])

    def read(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]], out: Tensor | None = None) -> Tensor:
        """Return a batch of items' coefficients.

        Parameters
        ----------
        indices : sequence of int
            Items, in any order.
        out : (len(indices), channels, block_rows, block_cols) tensor of :attr:`dtype`, optional
            Contiguous, in main memory: read into it rather than into a new one.

        Returns
        -------
        (len(indices), channels, block_rows, block_cols) tensor of :attr:`dtype`

        Raises
        ------
        StoreError
            For a native cache without `size`, or if a chunk is missing or damaged.
        ValueError
            If `out` does not fit.
        """
        slots = self.slots[self._checked(indices)]
        shape = (len(slots), len(self.channels), *self.grid)
        if out is None:
            out = torch.empty(shape, dtype=self.dtype)
        elif tuple(out.shape) != shape or out.dtype != self.dtype:
            msg = f"out: expected {self.dtype} of shape {shape}, found {out.dtype} of shape {tuple(out.shape)}"
            raise ValueError(msg)
        values = out.numpy()
        if isinstance(self._split, FixedSplit):
            self._split.read(slots, self.channels, out=values, threads=self.threads)
        else:
            for position, sample in enumerate(self._split.read(slots, self.source_channels, threads=self.threads)):
                values[position] = self._resized(sample)
        return out

    def normalization(self) -> tuple[Tensor, Tensor]:
        """Return the mean and true standard deviation of the dequantized coefficients of an item's channels.

        Of the training split where there is one. For a resized native cache, whose spectrum is not the stored one,
        they are measured on up to 512 samples spread over the split.

        Returns
        -------
        mean, std : (channels,) float32 tensor
            A deviation of zero (a channel that never varies) is given as 1.
        """
        if isinstance(self._split, FixedSplit):
            split = next((name for name in _TRAIN_SPLITS if name in self.store.splits), self.split)
            statistics = self.store[split].statistics
            mean, std = statistics.mean[self.channels.indices], statistics.std[self.channels.indices]
        else:
            mean, std = self._measured()
        std = np.where(std > 0, std, 1)
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def _measured(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        count = min(len(self), _NORMALIZATION_SAMPLES)
        total = np.zeros(len(self.channels))
        squares, n = np.zeros(len(self.channels)), 0
        chosen = np.linspace(0, len(self) - 1, count).astype(np.intp)
        for start in range(0, count, 64):
            batch = self.read(chosen[start : start + 64]).double()
            total += batch.sum(dim=(0, 2, 3)).numpy()
            squares += batch.square().sum(dim=(0, 2, 3)).numpy()
            n += batch[:, 0].numel()
        mean = total / max(1, n)
        return mean, np.sqrt(np.maximum(squares / max(1, n) - mean**2, 0))

    def _resized(self, sample: NativeSample) -> npt.NDArray[np.float32]:
        """Return the wanted channels of one native sample on the common grid, dequantized."""
        planes = tuple(self._plane(sample, component) for component in range(3))
        sampling = [(int(h), int(v)) for h, v in sample.sampling]
        dense = to_fixed_grid(planes, sampling, sample.width, sample.height, self.size or 0)
        return dense[self.channels.indices]

    @staticmethod
    def _plane(sample: NativeSample, component: int) -> npt.NDArray[np.float32] | None:
        """Return a whole component, dequantized; None where a grayscale image has none."""
        coefficients = sample.coefficients[component]
        if sample.sampling[component, 0] == 0:
            return None
        if len(coefficients) == 0:  # nothing is wanted of it, so it was not read; its grid still places the others
            return np.zeros((N_FREQUENCIES, *coefficients.shape[1:]), dtype=np.float32)
        return dequantize(coefficients, sample.quantization[component])

    def _checked(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.intp]:
        checked = np.asarray(indices, dtype=np.intp)
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

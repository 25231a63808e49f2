"""Reads samples of a split by slot and channel mask.

Only the chunks of the wanted channels are read, each once for all the slots of a call that lie in it; or the hot copy,
where there is one that holds them. A chunk that is missing or damaged raises; nothing is ever filled in.
Resizing, cropping and torch live elsewhere (:mod:`freqcache.resample`, :mod:`freqcache.dataset`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, StoreError
from freqcache.store.arrays import read_array
from freqcache.store.attributes import read_attributes
from freqcache.store.batches import NativeBatch
from freqcache.store.columns import ChunkReader
from freqcache.store.hot import HotSplit
from freqcache.store.places import Place
from freqcache.store.shards import ShardIdentity
from freqcache.store.threads import run_all
from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES
from freqcache_formats.hot import HotMetadata
from freqcache_formats.layout import (
    COEFFICIENTS,
    COLUMNS,
    FIXED_ARRAYS,
    NATIVE_DTYPE,
    NATIVE_SAMPLE_ARRAYS,
    SAMPLE_ARRAYS,
    SPLIT_ARRAYS,
    ArrayLayout,
    Origin,
)
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import SplitMetadata, Statistics

Slots = Sequence[int] | npt.NDArray[np.integer[Any]]


class Split:
    """What splits of both kinds share: per-sample values and row groups.

    A *slot* is a position in the per-sample arrays. Slots whose file failed during the build are absent (label
    -1); :attr:`slots` lists the others.
    """

    _SLOT_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _OTHER_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}

    def __init__(
        self, store: Place, name: str, classes: tuple[str, ...], hot: tuple[Path, HotMetadata] | None = None
    ) -> None:
        self.name = name
        self.classes = classes
        self.place = store / name
        try:
            self.metadata = SplitMetadata.from_dict(read_attributes(self.place))
        except FormatError as error:
            msg = f"{self.place}: {error}"
            raise FormatError(msg) from error
        self._hot = None if hot is None else HotSplit(hot[0] / name, hot[1], self.metadata.slots)

    def __len__(self) -> int:
        """Return the number of samples in the split."""
        return self.metadata.samples

    @property
    def statistics(self) -> Statistics:
        """Of the dequantized coefficients, per channel."""
        return self.metadata.statistics

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a whole per-sample array: see ``formats/v1/spec.md`` for the names.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged or not of the form that the format says.
        """
        per_slot = SAMPLE_ARRAYS | self._SLOT_ARRAYS
        layouts = per_slot | SPLIT_ARRAYS | self._OTHER_ARRAYS
        if name not in layouts:
            msg = f"{self.place}: no array {name!r}; there are {', '.join(layouts)}"
            raise StoreError(msg)
        length = self.metadata.slots if name in per_slot else -1
        return read_array(self.place / name, layouts[name].dtype, (length, *layouts[name].shape))

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(slots,) int64; index into the store's classes, -1 where absent."""
        labels = self.values("label")
        outside = np.flatnonzero((labels < -1) | (labels >= len(self.classes)))
        if len(outside):
            slot = outside[0]
            msg = f"{self.place}: slot {slot} has label {labels[slot]}, there are {len(self.classes)} classes"
            raise StoreError(msg)
        return labels

    @cached_property
    def slots(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; the slots that hold a sample, increasing."""
        absent = self.values("origin") == Origin.ABSENT
        slots = np.flatnonzero(~absent)
        if len(slots) != self.metadata.samples or np.any((self.labels < 0) != absent):
            msg = f"{self.place}: samples, labels and origins disagree about which of the slots are absent"
            raise StoreError(msg)
        return slots

    @cached_property
    def row_groups(self) -> npt.NDArray[np.intp]:
        """(slots,) intp; the row group of each slot. Reading a whole row group decodes each chunk once."""
        starts = self.values("row_group_start")
        lengths = np.diff(starts)
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != self.metadata.slots or np.any(lengths < 0):
            msg = f"{self.place}: row_group_start does not rise from 0 to the {self.metadata.slots} slots"
            raise StoreError(msg)
        return np.repeat(np.arange(len(lengths)), lengths)

    def source_path(self, slot: int) -> str:
        """Return the path of a slot's source file, relative to the source folder."""
        starts, blob = self._source_paths
        return blob[starts[slot] : starts[slot + 1]].tobytes().decode("utf-8", "surrogateescape")

    @cached_property
    def _source_paths(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        starts, blob = self.values("source_path_offset"), self.values("source_path")
        if len(starts) != self.metadata.slots + 1 or np.any(np.diff(starts, prepend=0, append=len(blob)) < 0):
            msg = f"{self.place}: source_path_offset does not rise to the {len(blob)} bytes of source_path"
            raise StoreError(msg)
        return starts, blob

    def _present(self, slots: Slots) -> npt.NDArray[np.intp]:
        """Return `slots` as an array, after checking that each holds a sample."""
        wanted = np.asarray(slots, dtype=np.intp)
        outside = wanted[(wanted < 0) | (wanted >= len(self.labels))]
        if len(outside):
            msg = f"{self.place}: slot {outside[0]} is outside 0..{len(self.labels) - 1}"
            raise StoreError(msg)
        absent = wanted[self.labels[wanted] < 0]
        if len(absent):
            msg = f"{self.place}: slot {absent[0]} is absent: its source file failed during the build"
            raise StoreError(msg)
        return wanted

    def _chunk_readers(self, names: Sequence[str]) -> tuple[ChunkReader, ...]:
        """Open coefficient arrays, each knowing what its shards must be."""
        sizes, digests = self.values("shard_bytes"), self.values("shard_digest")
        if len(sizes) != len(names) or digests.shape[:2] != sizes.shape:
            msg = f"{self.place}: shard_bytes and shard_digest are not of {len(names)} arrays"
            raise StoreError(msg)
        identities = [
            [ShardIdentity(size=n, digest=digest.tobytes()) for n, digest in zip(row.tolist(), rows, strict=True)]
            for row, rows in zip(sizes, digests, strict=True)
        ]
        return tuple(ChunkReader(self.place / name, row) for name, row in zip(names, identities, strict=True))

    def _gather(
        self,
        reader: ChunkReader,
        group: int,
        channels: npt.NDArray[np.intp],
        spans: npt.NDArray[np.int64],
        out: npt.NDArray[Any],
        slot: int,
    ) -> None:
        """Read a row group's part of a batch; `slot` is the first sample that needs it, for the message."""
        try:
            reader.gather(group, channels, spans, out)
        except StoreError as error:
            owner = f"slot {slot}"
            with suppress(StoreError):  # damaged paths must not hide what was found first
                owner += f", {self.source_path(slot)}"
            msg = f"{error} (needed for {owner})"
            raise StoreError(msg) from error


class FixedSplit(Split):
    """A split of dense samples, ``(192, block_rows, block_cols)`` each."""

    _OTHER_ARRAYS = FIXED_ARRAYS

    @cached_property
    def _reader(self) -> ChunkReader:
        (reader,) = self._chunk_readers([COEFFICIENTS])
        shape = reader.geometry.shape
        if len(shape) != 4 or shape[:2] != (self.metadata.slots, N_CHANNELS):
            msg = f"{reader.place}: expected {N_CHANNELS} channels of {self.metadata.slots} slots, found shape {shape}"
            raise StoreError(msg)
        return reader

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of every sample."""
        _, _, rows, columns = self._reader.geometry.shape
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the coefficients: int8 or int16."""
        return self._reader.geometry.dtype

    @cached_property
    def quantization(self) -> npt.NDArray[np.float32]:
        """(192,) float32; the steps of the store: ``coefficients * quantization`` dequantizes."""
        steps = self.values("quantization")
        if len(steps) != N_CHANNELS:
            msg = f"{self.place}: expected quantization of {N_CHANNELS} channels, found {len(steps)}"
            raise StoreError(msg)
        return steps

    def read(
        self, slots: Slots, mask: ChannelMask, *, out: npt.NDArray[Any] | None = None, threads: int = 1
    ) -> npt.NDArray[Any]:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.
        out : (len(slots), len(mask), block_rows, block_cols) int8 or int16, optional
            Writable, C-contiguous array to read into; a new one by default. After an error its content is undefined.
        threads : int
            Row groups read at a time.

        Returns
        -------
        (len(slots), len(mask), block_rows, block_cols) int8 or int16
            Quantized coefficients, in the order of `slots` and of the mask; `out` where that was given.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        ValueError
            If `out` does not fit.
        """
        wanted = self._present(slots)
        channels = mask.indices
        shape = (len(wanted), len(channels), *self.grid)
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous or not out.flags.writeable:
            # Kernels write to its address, whatever its flags say.
            form = f"{out.dtype} of shape {out.shape}{'' if out.flags.writeable else ', read-only'}"
            msg = f"out: expected writable, C-contiguous {self.dtype} of shape {shape}, found {form}"
            raise ValueError(msg)
        if self._hot is not None and self._hot.covers(mask):
            self._hot.read_fixed(wanted, mask, out, threads)
            return out
        plane = self.grid[0] * self.grid[1]
        groups, rows = np.divmod(wanted, self._reader.geometry.chunk[0])
        spans = np.empty((len(wanted), 4), dtype=np.int64)
        spans[:, 0] = rows * plane
        spans[:, 1] = spans[:, 3] = plane
        spans[:, 2] = np.arange(len(wanted)) * (plane * len(channels))
        work = [
            partial(self._gather, self._reader, group, channels, spans[here], out, int(wanted[here[0]]))
            for group, here in _by_group(groups)
        ]
        run_all(work, threads)
        return out

    def stored_bytes(self, mask: ChannelMask) -> int:
        """Return the bytes on disk of the mask's channels, over the whole split."""
        return self._reader.stored_bytes(mask.indices)


class NativeSplit(Split):
    """A split whose samples keep their own grids and quantization tables."""

    _SLOT_ARRAYS = NATIVE_SAMPLE_ARRAYS

    @cached_property
    def _readers(self) -> tuple[ChunkReader, ...]:
        readers = self._chunk_readers(COLUMNS)
        for reader in readers:
            shape, dtype = reader.geometry.shape, reader.geometry.dtype
            if len(shape) != 2 or shape[0] != N_FREQUENCIES or dtype != NATIVE_DTYPE:
                msg = f"{reader.place}: expected {NATIVE_DTYPE}, {N_FREQUENCIES} frequencies, found {dtype} of {shape}"
                raise StoreError(msg)
        return readers

    @cached_property
    def _geometry(self) -> dict[str, npt.NDArray[Any]]:
        names = ("offset", "blocks", "quantization", "sampling", "width", "height")
        return {name: self.values(name) for name in names}

    def read(self, slots: Slots, mask: ChannelMask, *, threads: int = 1) -> NativeBatch:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.
        threads : int
            Row groups of a component read at a time.

        Returns
        -------
        NativeBatch
            A sequence of :class:`NativeSample` in the order of `slots`.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        """
        wanted = self._present(slots)
        geometry = {name: values[wanted] for name, values in self._geometry.items() if name != "offset"}
        starts = np.zeros((len(wanted), 3), dtype=np.int64)
        flat, work = [], []
        for component, frequencies in enumerate(mask.frequencies):
            sizes = self._sizes(component, wanted)
            ends = np.cumsum(sizes * len(frequencies))
            starts[1:, component] = ends[:-1]
            out = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.int16)
            flat.append(out)
            if self._hot is not None and self._hot.covers(mask):
                self._hot.read_native(component, wanted, sizes, mask, starts[:, component], out, threads)
            else:
                work += self._work(component, wanted, sizes, starts[:, component], frequencies, out)
        run_all(work, threads)
        return NativeBatch(coefficients=tuple(flat), starts=starts, frequencies=mask.frequencies, **geometry)

    def stored_bytes(self, mask: ChannelMask) -> int:
        """Return the bytes on disk of the mask's channels, over the whole split."""
        return sum(r.stored_bytes(f) for r, f in zip(self._readers, mask.frequencies, strict=True))

    def _sizes(self, component: int, wanted: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return how many blocks of a component each sample has, after checking that they lie in one chunk."""
        reader = self._readers[component]
        grids = self._geometry["blocks"][wanted, component].astype(np.int64)
        groups, firsts = np.divmod(self._geometry["offset"][wanted, component], reader.geometry.chunk[1])
        sizes: npt.NDArray[np.int64] = grids.prod(axis=1)
        placed = (groups >= 0) & (groups < reader.geometry.n_groups) & (firsts + sizes <= reader.geometry.chunk[1])
        outside = (grids < 0).any(axis=1) | ((sizes > 0) & ~placed)
        if outside.any():
            slot = wanted[np.flatnonzero(outside)[0]]
            msg = f"{reader.place}: the blocks of slot {slot} do not lie in one chunk of the array"
            raise StoreError(msg)
        return sizes

    def _work(
        self,
        component: int,
        wanted: npt.NDArray[np.intp],
        sizes: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        frequencies: npt.NDArray[np.intp],
        out: npt.NDArray[np.int16],
    ) -> list[Callable[[], None]]:
        """Return the reads of one component, a row group each: the wanted frequencies of every sample, into `out`."""
        reader = self._readers[component]
        groups, firsts = np.divmod(self._geometry["offset"][wanted, component], reader.geometry.chunk[1])
        spans = np.stack([firsts, sizes, starts, sizes], axis=1)
        present = np.flatnonzero(sizes)
        return [
            partial(self._gather, reader, group, frequencies, spans[present[here]], out, int(wanted[present[here[0]]]))
            for group, here in _by_group(groups[present])
        ]


def _by_group(groups: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each row group, in increasing order, and where in `groups` it stands."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    for here in np.split(order, cuts) if len(order) else ():
        yield int(groups[here[0]]), here

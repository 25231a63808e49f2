"""What splits of both kinds share: per-sample values, row groups, and how chunks become parts of a batch.

Only the chunks of the wanted channels are read, each once for all the slots of a call that lie in it; or the hot copy,
where there is one that holds them. What reading needs of the per-sample arrays comes row by row from
:mod:`freqcache.store.rows`; whole arrays are for who asks for them. A chunk that is missing or damaged raises; nothing
is ever filled in. Reading samples is :mod:`freqcache.store.fixed`'s and :mod:`freqcache.store.native`'s; resizing,
cropping and torch live elsewhere (:mod:`freqcache.resampling`, :mod:`freqcache.dataset`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, MaskError, StoreError
from freqcache.store.arrays import SmallArray, first_chunk, open_array, read_array, read_parts
from freqcache.store.attributes import read_attributes
from freqcache.store.columns import ChunkReader
from freqcache.store.hot import HotSplit
from freqcache.store.places import Place
from freqcache.store.rows import RowCache
from freqcache.store.shards import ShardIdentities
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.hot import HotMetadata
from freqcache_formats.layout import (
    SAMPLE_ARRAYS,
    SPLIT_ARRAYS,
    ArrayLayout,
    Origin,
    array_rows,
)
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import SplitMetadata, Statistics

Slots = Sequence[int] | npt.NDArray[np.integer[Any]]

_SMALL: Final = 65_536
"""Slots of a split whose per-sample arrays are fetched when it is opened: freqcache writes them in one chunk each."""

_PATHS: Final = 256
"""Source paths that are taken from their arrays in one go."""


class Split:
    """What splits of both kinds share: per-sample values and row groups.

    A *slot* is a position in the per-sample arrays. Slots whose file failed during the build are absent (label
    -1); :attr:`slots` lists the others. Numbers of channels come for all 192, whichever of them are stored.

    Attributes
    ----------
    channels : ChannelMask
        The channels that are stored.
    """

    _SLOT_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _OTHER_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _KIND: ClassVar[str]
    _READING: ClassVar[tuple[str, ...]] = ("label",)
    """Per-sample arrays that reading samples needs."""

    def __init__(
        self,
        store: Place,
        name: str,
        classes: tuple[str, ...],
        channels: ChannelMask,
        hot: tuple[Path, HotMetadata] | None = None,
        *,
        confirm: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.classes = classes
        self.channels = channels
        self.place = store / name
        try:
            self.metadata = SplitMetadata.from_dict(read_attributes(self.place), len(channels))
        except FormatError as error:
            msg = f"{self.place}: {error}"
            raise FormatError(msg) from error
        self._hot = None if hot is None else HotSplit(hot[0] / name, hot[1], self.metadata.slots)
        self._by_row = RowCache(self.place, self._form, confirm)
        self._is_open = False
        self._paths: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        """Return the number of samples in the split."""
        return self.metadata.samples

    def open(self) -> None:
        """Read what reading samples needs to know, which otherwise happens at the first read.

        From then on a shard of another store in this one's place is refused. Of a per-sample array that is longer than
        a chunk only the form is read here: its values are read when they are needed, a chunk at a time, and refused if
        another store stands there by then.
        """
        if self._is_open:
            return
        names = [*self._READING, *self._OTHER_ARRAYS]
        keys = [f"{name}/zarr.json" for name in names]
        keys += [self._first_chunk(name) for name in (names if self.metadata.slots <= _SMALL else self._OTHER_ARRAYS)]
        place = self.place.read_ahead([*self._reader_keys(), *keys])
        if "coefficient_arrays" not in self.__dict__:
            self.coefficient_arrays = self._open_readers(place)
        self._open_others(place)
        self._by_row.open(self._READING, place)
        self._is_open = True

    @cached_property
    def coefficient_arrays(self) -> dict[str, ChunkReader]:
        """Readers of the coefficient arrays, by name, in the order of the channels."""
        return self._open_readers(self.place.read_ahead(self._reader_keys()))

    def _open_others(self, place: Place) -> None:
        """Read, from the split's folder, other arrays that reading samples needs."""

    def _check_reader(self, reader: ChunkReader, rows: int) -> None:
        """Raise StoreError unless a coefficient array has the form that the split says, with `rows` channels."""
        raise NotImplementedError

    @cached_property
    def statistics(self) -> Statistics:
        """Of the dequantized coefficients, of all 192 channels in storage order; NaN for those that are not stored."""
        return self.metadata.statistics.of_all(self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the coefficients: int8 or int16."""
        raise NotImplementedError

    @property
    def level(self) -> int:
        """Compression level that the chunks say they were made with."""
        raise NotImplementedError

    def channel_bytes(self) -> npt.NDArray[np.int64]:
        """Return the bytes on disk of each channel, over the whole split: (192,) int64 in storage order."""
        return self._of_all(np.concatenate([reader.channel_bytes() for reader in self.coefficient_arrays.values()]), 0)

    def group_bytes(self) -> npt.NDArray[np.int64]:
        """Return the bytes on disk of each row group's chunks, of all channels: (groups,) int64."""
        total: npt.NDArray[np.int64] = np.sum([r.group_bytes() for r in self.coefficient_arrays.values()], axis=0)
        return total

    def stored_bytes(self, mask: ChannelMask) -> int:
        """Return the bytes on disk of the mask's channels, over the whole split."""
        self._rows(mask)
        return int(self.channel_bytes()[mask.indices].sum())

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a whole per-sample array: see ``formats/v1/spec.md`` for the names.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged or not of the form that the format says.
        """
        return self._whole(self.place, name)

    def take(self, names: Sequence[str], slots: Slots) -> dict[str, npt.NDArray[Any]]:
        """Return rows of per-sample arrays, by name; only the chunks that they lie in are read, and kept.

        Parameters
        ----------
        names : sequence of str
            Arrays with an entry a slot: see ``formats/v1/spec.md``.
        slots : sequence of int
            In any order, repetitions allowed.

        Returns
        -------
        dict of str to (len(slots), ...) array
            In the order of `slots`.

        Raises
        ------
        StoreError
            If there is no such array, a slot is outside the split or absent, or what is read is damaged.
        """
        for name in names:
            if name not in SAMPLE_ARRAYS | self._SLOT_ARRAYS:
                msg = f"{self.place}: no array {name!r} with an entry a slot"
                raise StoreError(msg)
        return self._present(slots, names)[1]

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(slots,) int64; index into the store's classes, -1 where absent."""
        labels = self.values("label")
        self._check_labels(labels, None)
        return labels

    @cached_property
    def absent(self) -> npt.NDArray[np.intp]:
        """(absent slots,) intp; the slots whose source file failed during the build, increasing."""
        absent = self.values("origin") == Origin.ABSENT
        done, agree = 0, True
        for labels in read_parts(self._form("label", self.place)):
            agree = agree and np.array_equal(labels < 0, absent[done : done + len(labels)])
            done += len(labels)
        slots = np.flatnonzero(absent)
        if len(slots) != self.metadata.slots - self.metadata.samples or not agree:
            msg = f"{self.place}: samples, labels and origins disagree about which of the slots are absent"
            raise StoreError(msg)
        return slots

    @cached_property
    def slots(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; the slots that hold a sample, increasing."""
        return np.delete(np.arange(self.metadata.slots), self.absent)

    def slots_of(self, samples: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return ``slots[samples]`` without an entry for each slot: samples counted from 0, without absent slots."""
        if self.metadata.samples == self.metadata.slots:
            return samples
        before = self.absent - np.arange(len(self.absent))  # samples before each absent slot
        return samples + np.searchsorted(before, samples, side="right")

    @cached_property
    def row_groups(self) -> npt.NDArray[np.intp]:
        """(slots,) intp; the row group of each slot. Reading a whole row group decodes each chunk once."""
        starts = self.values("row_group_start")
        lengths = np.diff(starts)
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != self.metadata.slots or np.any(lengths <= 0):
            msg = f"{self.place}: row_group_start does not rise from 0 to the {self.metadata.slots} slots"
            raise StoreError(msg)
        return np.repeat(np.arange(len(lengths)), lengths)

    def source_path(self, slot: int) -> str:
        """Return the path of a slot's source file, relative to the source folder."""
        if not 0 <= slot < self.metadata.slots:
            msg = f"{self.place}: slot {slot} is outside 0..{self.metadata.slots - 1}"
            raise StoreError(msg)
        number, place = divmod(slot, _PATHS)
        if self._paths[0] != number:
            self._paths = (number, self._some_paths(number * _PATHS))
        return self._paths[1][place]

    def _some_paths(self, first: int) -> list[str]:
        """Return the source paths from a slot on."""
        boundaries = np.arange(first, min(first + _PATHS, self.metadata.slots) + 1)
        starts_name, blob_name = "source_path_offset", "source_path"
        length = self._by_row.length(blob_name)
        fits = self._by_row.length(starts_name) == self.metadata.slots + 1
        starts = self._by_row.take([starts_name], boundaries)[starts_name] if fits else np.array([1, 0])
        if starts[0] < 0 or starts[-1] > length or np.any(np.diff(starts) < 0):
            msg = f"{self.place}: {starts_name} does not rise to the {length} bytes of {blob_name}"
            raise StoreError(msg)
        blob = self._by_row.take([blob_name], np.arange(starts[0], starts[-1]))[blob_name].tobytes()
        ends = (starts - starts[0]).tolist()
        return [blob[a:b].decode("utf-8", "surrogateescape") for a, b in pairwise(ends)]

    def _rows(self, mask: ChannelMask) -> npt.NDArray[np.intp]:
        """Return where channels stand among the stored ones.

        Raises
        ------
        MaskError
            If some are not stored.
        """
        try:
            return mask.places_in(self.channels)
        except MaskError as error:
            msg = f"{self.place}: {error}"
            raise MaskError(msg) from error

    def _of_all(self, values: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
        """Return numbers of the stored channels as numbers of all 192, with `missing` for the others."""
        whole = np.full(N_CHANNELS, missing, dtype=values.dtype)
        whole[self.channels.indices] = values
        return whole

    def _present(
        self, slots: Slots, names: Sequence[str] = ()
    ) -> tuple[npt.NDArray[np.intp], dict[str, npt.NDArray[Any]]]:
        """Return `slots` as an array, after checking that each holds a sample, and their rows of some arrays."""
        wanted = np.asarray(slots, dtype=np.intp)
        outside = wanted[(wanted < 0) | (wanted >= self.metadata.slots)]
        if len(outside):
            msg = f"{self.place}: slot {outside[0]} is outside 0..{self.metadata.slots - 1}"
            raise StoreError(msg)
        rows = self._by_row.take(names if "label" in names else ["label", *names], wanted)
        self._check_labels(rows["label"], wanted)
        absent = wanted[rows["label"] < 0]
        if len(absent):
            msg = f"{self.place}: slot {absent[0]} is absent: its source file failed during the build"
            raise StoreError(msg)
        return wanted, rows

    def _check_labels(self, labels: npt.NDArray[np.int64], slots: npt.NDArray[np.intp] | None) -> None:
        """Raise StoreError for a label that is none: of some slots, or of all."""
        outside = (labels < -1) | (labels >= len(self.classes))
        if outside.any():
            number = int(np.argmax(outside))
            slot = number if slots is None else slots[number]
            msg = f"{self.place}: slot {slot} has label {labels[number]}, there are {len(self.classes)} classes"
            raise StoreError(msg)

    def _layout(self, name: str) -> tuple[ArrayLayout, int]:
        """Return what the format says of an array, and its length; -1 for any."""
        per_slot = SAMPLE_ARRAYS | self._SLOT_ARRAYS
        layouts = per_slot | SPLIT_ARRAYS | self._OTHER_ARRAYS
        if name not in layouts:
            msg = f"{self.place}: no array {name!r}; there are {', '.join(layouts)}"
            raise StoreError(msg)
        return layouts[name], self.metadata.slots if name in per_slot else -1

    def _whole(self, place: Place, name: str) -> npt.NDArray[Any]:
        """Return a whole array, read from `place`, the split's folder."""
        layout, length = self._layout(name)
        return read_array(place / name, layout.dtype, (length, *layout.shape))

    def _form(self, name: str, place: Place) -> SmallArray:
        """Return the form of an array, read from `place`, the split's folder."""
        layout, length = self._layout(name)
        array = open_array(place / name, layout.dtype, (length, *layout.shape))
        return replace(array, place=self.place / name)

    def _first_chunk(self, name: str) -> str:
        """Return the path of an array's first chunk."""
        return f"{name}/{first_chunk(len(self._layout(name)[0].dimensions))}"

    def _reader_keys(self) -> list[str]:
        """Return what :meth:`_open_readers` reads."""
        recorded = ("shard_bytes", "shard_digest")
        names = (*array_rows(self._KIND, self.channels.indices), *recorded)
        return [*(f"{name}/zarr.json" for name in names), *map(self._first_chunk, recorded)]

    def _open_readers(self, place: Place) -> dict[str, ChunkReader]:
        """Open the coefficient arrays, each knowing what its shards must be; metadata come from `place`."""
        arrays = array_rows(self._KIND, self.channels.indices)
        sizes, digests = (self._whole(place, name) for name in ("shard_bytes", "shard_digest"))
        if len(sizes) != len(arrays) or digests.shape[:2] != sizes.shape:
            msg = f"{self.place}: shard_bytes and shard_digest are not of {len(arrays)} arrays"
            raise StoreError(msg)
        readers = {}
        for (name, rows), size, digest in zip(arrays.items(), sizes, digests, strict=True):
            readers[name] = ChunkReader(self.place / name, ShardIdentities(size, digest), place / name)
            self._check_reader(readers[name], len(rows))
        return readers

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


def by_group(groups: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each row group, in increasing order, and where in `groups` it stands."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    for here in np.split(order, cuts) if len(order) else ():
        yield int(groups[here[0]]), here

"""What splits of both kinds share: per-sample values, row groups, and how chunks become parts of a batch.

Only the chunks of the wanted channels are read, each once for all the slots of a call that lie in it; or the hot copy,
where there is one that holds them. A chunk that is missing or damaged raises; nothing is ever filled in. Reading
samples is :mod:`freqcache.store.fixed`'s and :mod:`freqcache.store.native`'s; resizing, cropping and torch live
elsewhere (:mod:`freqcache.resampling`, :mod:`freqcache.dataset`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, MaskError, StoreError
from freqcache.store.arrays import read_array
from freqcache.store.attributes import read_attributes
from freqcache.store.columns import ChunkReader
from freqcache.store.hot import HotSplit
from freqcache.store.places import Place
from freqcache.store.shards import ShardIdentity
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.hot import HotMetadata
from freqcache_formats.layout import (
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
    -1); :attr:`slots` lists the others. Numbers of channels come for all 192, whichever of them are stored.

    Attributes
    ----------
    channels : ChannelMask
        The channels that are stored.
    """

    _SLOT_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _OTHER_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}

    def __init__(
        self,
        store: Place,
        name: str,
        classes: tuple[str, ...],
        channels: ChannelMask,
        hot: tuple[Path, HotMetadata] | None = None,
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

    def __len__(self) -> int:
        """Return the number of samples in the split."""
        return self.metadata.samples

    def open(self) -> None:
        """Read what reading samples needs to know, which otherwise happens at the first read.

        From then on a shard of another store in this one's place is refused.
        """
        raise NotImplementedError

    @property
    def coefficient_arrays(self) -> dict[str, ChunkReader]:
        """Readers of the coefficient arrays, by name."""
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
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != self.metadata.slots or np.any(lengths <= 0):
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


def by_group(groups: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each row group, in increasing order, and where in `groups` it stands."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    for here in np.split(order, cuts) if len(order) else ():
        yield int(groups[here[0]]), here

"""What splits of both kinds share: how they are opened, and how chunks become parts of a batch.

Only the chunks of the wanted channels are read, each once for all the slots of a call that lie in it; or the hot copy,
where there is one that holds them. A chunk that is missing or damaged raises; nothing is ever filled in. The
per-sample arrays are :mod:`freqcache.store.per_sample`'s, and reading samples is :mod:`freqcache.store.fixed`'s and
:mod:`freqcache.store.native`'s; resizing, cropping and torch live elsewhere (:mod:`freqcache.resampling`,
:mod:`freqcache.dataset`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, MaskError, StoreError
from freqcache.store.attributes import read_attributes
from freqcache.store.columns import ChunkReader
from freqcache.store.hot import HotSplit
from freqcache.store.per_sample import PerSample
from freqcache.store.places import Place
from freqcache.store.shards import ShardIdentities
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.hot import HotMetadata
from freqcache_formats.layout import array_rows
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import SplitMetadata, Statistics

_SMALL: Final = 65_536
"""Slots of a split whose per-sample arrays are fetched when it is opened: freqcache writes them in one chunk each."""


class Split(PerSample):
    """What splits of both kinds share: per-sample values, and the arrays that coefficients are read from.

    Labels, slots, row groups and source paths are those of :class:`freqcache.store.per_sample.PerSample`. Numbers of
    channels come for all 192, whichever of them are stored.

    Attributes
    ----------
    channels : ChannelMask
        The channels that are stored.
    """

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
        place = store / name
        try:
            metadata = SplitMetadata.from_dict(read_attributes(place), len(channels))
        except FormatError as error:
            msg = f"{place}: {error}"
            raise FormatError(msg) from error
        super().__init__(place, classes, metadata, confirm)
        self.name = name
        self.channels = channels
        self._hot = None if hot is None else HotSplit(hot[0] / name, hot[1], self.metadata.slots)
        self._is_open = False

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

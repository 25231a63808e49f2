"""Reads a store's hot copy: some channels of every sample, uncompressed, mapped into memory.

A sample's channels lie together, and each channel of each sample has a CRC-32C that is checked when it is copied out.
The copy is plain Zarr: arrays without a compressor, whose chunks are files that can be mapped. Making one is
:mod:`freqcache.building.hot`'s. Source: the format's specification, section 11.

A mapped file that is cut short while it is read kills the process; its length is checked before every read, which
leaves an instant.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache.errors import FormatError, StoreError
from freqcache.store.arrays import SmallArray, open_array
from freqcache.store.attributes import read_attributes
from freqcache.store.foreign import copy_memory, extend_crc32c
from freqcache.store.libraries import functions
from freqcache.store.mapping import map_file
from freqcache.store.places import LocalPlace, Place
from freqcache.store.rows import RowCache
from freqcache.store.threads import run_all
from freqcache_formats.hot import CHECKSUM, START, HotMetadata
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, HOT
from freqcache_formats.mask import ChannelMask

_LONGEST: Final = 1 << 48
"""Elements in a chunk, so that places of bytes fit an int64."""


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What to copy: runs of neighbouring channels of some samples.

    Attributes
    ----------
    chunks : (n,) int64
        The chunk file that each piece lies in.
    table : (n, 5) int64
        First byte in the file; bytes of a channel; channels; first byte of the target; number of the first channel's
        checksum in the checksum file.
    """

    chunks: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]

    def share(self, here: slice) -> Pieces:
        """Return some of the pieces."""
        return Pieces(chunks=self.chunks[here], table=self.table[here])


class HotSplit:
    """The hot copy of one split; picklable.

    Parameters
    ----------
    folder : Path
        Of the split, inside the hot copy.
    metadata : HotMetadata
        Of the hot copy.
    slots : int
        Of the split.
    """

    def __init__(self, folder: Path, metadata: HotMetadata, slots: int) -> None:
        self.folder = folder
        self.metadata = metadata
        self.channels = metadata.channels
        self._slots = slots
        self._files: dict[tuple[str, int], tuple[npt.NDArray[np.uint8], Path]] = {}
        self._by_row = RowCache(LocalPlace(folder), self._form, self._confirm)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    def covers(self, mask: ChannelMask) -> bool:
        """Whether every channel of `mask` is here."""
        return bool(np.isin(mask.indices, self.channels.indices).all())

    def read_fixed(self, slots: npt.NDArray[np.intp], mask: ChannelMask, out: npt.NDArray[Any], threads: int) -> None:
        """Fill `out`, (slots, channels, rows, columns), for a fixed store."""
        plane = out[0, 0].nbytes if out.size else 0
        chunks, rows = np.divmod(slots.astype(np.int64), self._slots_per_chunk)
        held = len(self.channels)
        parts = []
        for first, place, count in _runs(self.channels.indices, mask.indices):
            begin = (rows * held + place) * plane
            target = (np.arange(len(slots)) * len(mask) + first) * plane
            parts.append(_piece_table(begin, plane, count, target, rows * held + place))
        pieces = Pieces(chunks=np.tile(chunks, len(parts)), table=np.concatenate(parts))
        length = self._slots_per_chunk * held * plane
        self._copy_all(COEFFICIENTS, "c/{}/0/0/0", length, slots, pieces, out.reshape(-1).view(np.uint8), threads)

    def read_native(
        self,
        component: int,
        slots: npt.NDArray[np.intp],
        blocks: npt.NDArray[np.int64],
        mask: ChannelMask,
        starts: npt.NDArray[np.int64],
        out: npt.NDArray[np.int16],
        threads: int,
    ) -> None:
        """Fill the flat `out` for one component of a native store.

        `blocks` are the numbers of blocks of each of `slots`, `starts` where each sample begins in `out`.
        """
        wanted, held = mask.frequencies[component], self.channels.frequencies[component]
        if len(wanted) == 0:
            return
        before = sum(len(frequencies) for frequencies in self.channels.frequencies[:component])
        elements = self._elements[component]
        begins = self._by_row.take([START], slots)[START][:, component] % elements
        chunks, rows = np.divmod(slots.astype(np.int64), self._slots_per_chunk)
        parts = []
        for first, place, count in _runs(held, wanted):
            begin = 2 * (begins + place * blocks)
            target = 2 * (starts + first * blocks)
            checksum = rows * len(self.channels) + before + place
            parts.append(_piece_table(begin, 2 * blocks, count, target, checksum))
        table = np.concatenate(parts)
        filled = table[:, 1] > 0
        pieces = Pieces(chunks=np.tile(chunks, len(parts))[filled], table=table[filled])
        owners = np.tile(slots, len(parts))[filled]
        self._copy_all(COLUMNS[component], "c/{}", 2 * elements, owners, pieces, out.view(np.uint8), threads)

    def _form(self, name: str, place: Place) -> SmallArray:
        """Return the form of ``start``: the first element of each sample in the arrays of a native store."""
        return open_array(place / name, "int64", (self._slots, 3))

    def _confirm(self) -> None:
        """Raise StoreError if another hot copy stands here by now."""
        if open_hot(self.folder.parents[1], self.metadata.of) != self.metadata:
            msg = f"{self.folder.parent}: the hot copy was replaced while it was in use; open the store again"
            raise StoreError(msg)

    @cached_property
    def _slots_per_chunk(self) -> int:
        """Consecutive slots whose samples share a chunk of every array."""
        return _chunk_length(self.folder / CHECKSUM)

    @cached_property
    def _elements(self) -> tuple[int, ...]:
        """Elements in a chunk of each component's array of a native store; 0 for one that is not there."""
        held = (len(frequencies) > 0 for frequencies in self.channels.frequencies)
        return tuple(
            _chunk_length(self.folder / name) if there else 0 for name, there in zip(COLUMNS, held, strict=True)
        )

    def _copy_all(
        self,
        name: str,
        key: str,
        length: int,
        slots: npt.NDArray[np.intp],
        pieces: Pieces,
        out: npt.NDArray[np.uint8],
        threads: int,
    ) -> None:
        """Copy all pieces, each thread an equal share."""
        count = len(pieces.chunks)
        owners = np.resize(slots, count)
        step = max(1, -(-count // max(1, threads)))
        shares = [slice(i, i + step) for i in range(0, count, step)]
        run_all([partial(self._copy, name, key, length, owners[i], pieces.share(i), out) for i in shares], threads)

    def _copy(
        self,
        name: str,
        key: str,
        length: int,
        owners: npt.NDArray[np.intp],
        pieces: Pieces,
        out: npt.NDArray[np.uint8],
    ) -> None:
        numbers, which = np.unique(pieces.chunks, return_inverse=True)
        checksum_bytes = 4 * self._slots_per_chunk * len(self.channels)
        data = [self._map(name, key.format(n), n, length) for n in numbers.tolist()]
        checksums = [self._map(CHECKSUM, f"c/{n}/0", n, checksum_bytes) for n in numbers.tolist()]
        table = pieces.table
        # The kernel copies without looking. Each number is compared by itself first, so that no sum or product of
        # them can be too large for an int64.
        sane = (table >= 0).all() and (table[:, :2] <= length).all() and (table[:, 3] <= len(out)).all()
        sizes = table[:, 1] * table[:, 2] if sane else table[:, 1]
        if not sane or (table[:, 0] + sizes > length).any() or (table[:, 3] + sizes > len(out)).any():
            msg = f"{self.folder / name}: the hot copy does not hold all blocks of its samples"
            raise StoreError(msg)
        library = functions()
        if library is None:
            bad = _copy_generally(data, checksums, which, table, out)
        else:
            addresses = np.array([[d.ctypes.data, c.ctypes.data] for d, c in zip(data, checksums, strict=True)])
            bad = int(copy_checked(library.addresses, addresses.astype(np.uintp), which, table, out))
        if bad >= 0:
            path = self.folder / name / key.format(int(pieces.chunks[bad]))
            msg = f"{path}: slot {owners[bad]}: CRC-32C does not match"
            raise StoreError(msg)

    def _map(self, name: str, key: str, number: int, length: int) -> npt.NDArray[np.uint8]:
        """Return a chunk file's bytes, mapped once; raise if it is not of the length that it must have."""
        known = self._files.get((name, number))
        path = self.folder / name / key if known is None else known[1]
        try:
            size = path.stat().st_size
            if size != length:
                msg = f"{path}: has {size} bytes, expected {length}"
                raise StoreError(msg)
            if known is None:
                mapped = map_file(path, length)
                self._confirm()
                known = self._files[name, number] = (mapped, path)
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise StoreError(msg) from error
        return known[0]


def open_hot(store: Path, store_id: str) -> HotMetadata | None:
    """Return the metadata of a local store's hot copy; None where there is none.

    Raises
    ------
    StoreError
        If there is one, but of another store.
    FormatError
        If its metadata is malformed.
    """
    if not os.path.lexists(store / HOT / "zarr.json"):
        return None
    try:
        metadata = HotMetadata.from_dict(read_attributes(LocalPlace(store / HOT)))
    except FormatError as error:
        msg = f"{store / HOT}: {error}"
        raise FormatError(msg) from error
    if metadata.of != store_id:
        msg = f"{store / HOT}: a hot copy of the store {metadata.of}, not of {store_id}: remove it or make it anew"
        raise StoreError(msg)
    return metadata


def _chunk_length(array: Path) -> int:
    try:
        document = json.loads((array / "zarr.json").read_text(encoding="utf-8"))
        length = document["chunk_grid"]["configuration"]["chunk_shape"][0]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        msg = f"{array}: no readable array metadata: {error}"
        raise StoreError(msg) from error
    if type(length) is not int or not 0 < length < _LONGEST:
        msg = f"{array}: no readable array metadata: chunks of {length}"
        raise StoreError(msg)
    return length


def _runs(held: npt.NDArray[np.intp], wanted: npt.NDArray[np.intp]) -> list[tuple[int, int, int]]:
    """Return runs of wanted channels that lie together: number among the wanted, among the held, and how many."""
    places = np.searchsorted(held, wanted)
    cuts = np.flatnonzero(np.diff(places) != 1) + 1
    firsts = [0, *cuts.tolist()]
    return [
        (first, int(places[first]), end - first) for first, end in zip(firsts, [*firsts[1:], len(wanted)], strict=True)
    ]


def _piece_table(begin: Any, plane: Any, count: int, target: Any, checksum: Any) -> npt.NDArray[np.int64]:
    table = np.empty((len(begin), 5), dtype=np.int64)
    table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4] = begin, plane, count, target, checksum
    return table


@kernel
def copy_checked(
    functions: npt.NDArray[np.uintp],
    addresses: npt.NDArray[np.uintp],
    which: npt.NDArray[np.int64],
    table: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> int:
    """Copy pieces and check their channels; return the number of the first that fails, or -1.

    Parameters
    ----------
    functions : (3,) uintp
        See :class:`freqcache.store.libraries.Functions`.
    addresses : (files, 2) uintp
        Of the mapped chunk file and of its checksum file (little-endian uint32).
    which : (pieces,) int64
        The file of each piece.
    table : (pieces, 5) int64
        See :class:`Pieces`.
    out : uint8
        Where to.
    """
    found = np.empty(1, dtype=np.uint32)
    target = np.uintp(out.ctypes.data)
    for i in range(len(table)):
        size = np.uintp(table[i, 1])
        place = target + np.uintp(table[i, 3])
        copy_memory(place, addresses[which[i], 0] + np.uintp(table[i, 0]), size * np.uintp(table[i, 2]))
        for channel in range(table[i, 2]):
            copy_memory(
                np.uintp(found.ctypes.data),
                addresses[which[i], 1] + np.uintp(4 * (table[i, 4] + channel)),
                np.uintp(4),
            )
            if extend_crc32c(functions[2], place + np.uintp(channel) * size, size) != found[0]:
                return i
    return -1


def _copy_generally(
    data: list[npt.NDArray[np.uint8]],
    checksums: list[npt.NDArray[np.uint8]],
    which: npt.NDArray[np.int64],
    table: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> int:
    """Do what :func:`copy_checked` does, where C functions cannot be called."""
    for i, (begin, plane, count, target, first) in enumerate(table.tolist()):
        known = checksums[which[i]].view("<u4")[first : first + count]
        for channel in range(count):
            piece = data[which[i]][begin + channel * plane : begin + (channel + 1) * plane]
            if google_crc32c.value(piece.tobytes()) != known[channel]:
                return i
            out[target + channel * plane : target + (channel + 1) * plane] = piece
    return -1

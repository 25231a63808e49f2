"""Shard files: many compressed chunks in one file, with an index at the end.

Source: Zarr v3, ``sharding_indexed`` codec 1.0, with ``index_location: end`` and index codecs ``bytes`` (little
endian) and ``crc32c``. The index holds, for every inner chunk in C order, its offset and its length as uint64.
Chunks lie in the file in the order in which they were appended; a row group's chunks are appended together, so
that a masked read of a row group is one run of bytes. Between the chunks and the index lies the BLAKE2b-128 of the
index and of every chunk's CRC-32C, in bytes that no index entry points to: whoever reads the index learns whether
this is the shard that belongs here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, overload

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import CRC_BYTES
from freqcache.store.decoding import Octets, workspace
from freqcache.store.places import RangeFile
from freqcache.store.targets import TargetFile
from freqcache_formats.layout import DIGEST_BYTES

_MISSING: Final = np.uint64(2**64 - 1)


@dataclass(frozen=True, kw_only=True)
class ShardIdentity:
    """What a split records of each of its shard files, so that another file in its place is noticed.

    Attributes
    ----------
    size : int
        Bytes of the file.
    digest : bytes
        BLAKE2b-128 of its index and its chunks' checksums: the 16 bytes before the index.
    """

    size: int
    digest: bytes


class ShardIdentities(Sequence[ShardIdentity]):
    """What a split records of all shards of an array, without an object for each.

    Parameters
    ----------
    sizes : (shards,) int64
    digests : (shards, 16) uint8
    """

    def __init__(self, sizes: npt.NDArray[np.int64], digests: npt.NDArray[np.uint8]) -> None:
        self._sizes, self._digests = sizes, digests

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, index: int) -> ShardIdentity: ...

    @overload
    def __getitem__(self, index: slice) -> ShardIdentities: ...

    def __getitem__(self, index: int | slice) -> ShardIdentity | ShardIdentities:
        if isinstance(index, slice):
            return ShardIdentities(self._sizes[index], self._digests[index])
        return ShardIdentity(size=int(self._sizes[index]), digest=self._digests[index].tobytes())


class ShardWriter:
    """Writes one shard; :meth:`place` puts it where it belongs.

    Parameters
    ----------
    file : TargetFile
        Where it goes.
    n_chunks : int
        Inner chunks of the shard, present or not.

    Notes
    -----
    Memory is the index alone. Nothing stands in the file's place before :meth:`place`.
    """

    def __init__(self, file: TargetFile, n_chunks: int) -> None:
        self._file = file
        self._index = np.full((n_chunks, 2), _MISSING, dtype="<u8")
        self._checksums = np.zeros(n_chunks, dtype="<u4")
        self._position = 0

    def append(self, chunks: npt.NDArray[np.intp], stored: Octets, lengths: npt.NDArray[np.int64]) -> None:
        """Append inner chunks.

        Parameters
        ----------
        chunks : (n,) intp
            Their numbers, in C order of the shard.
        stored : uint8
            Their stored bytes, one after the other, the last four of each its CRC-32C.
        lengths : (n,) int64
            How many bytes each has.
        """
        ends = np.cumsum(lengths)
        self._index[chunks, 0] = self._position + ends - lengths
        self._index[chunks, 1] = lengths
        places = ends[:, None] - CRC_BYTES + np.arange(CRC_BYTES)
        self._checksums[chunks] = stored[places].view("<u4")[:, 0]
        self._file.write(stored.data)
        self._position += len(stored)

    def finish(self) -> ShardIdentity:
        """Seal and place the file; return what to know it by."""
        identity = self.seal()
        self.place()
        return identity

    def seal(self) -> ShardIdentity:
        """Write the digest and the index; return what to know the file by."""
        index = self._index.tobytes()
        digest = hashlib.blake2b(index + self._checksums.tobytes(), digest_size=DIGEST_BYTES).digest()
        tail = digest + index + google_crc32c.value(index).to_bytes(CRC_BYTES, "little")
        self._file.write(tail)
        self._file.seal()
        return ShardIdentity(size=self._position + len(tail), digest=digest)

    def place(self) -> None:
        """Put a sealed file in its place."""
        self._file.place()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.abandon()


class ShardFile:
    """Reads the chunks of one shard file, checking every byte that it relies on.

    Parameters
    ----------
    file : RangeFile
        The shard.
    n_chunks : int
        Inner chunks that its index must list.
    identity : ShardIdentity, optional
        What it must be.

    Raises
    ------
    StoreError
        If the file is too short, its index fails its checksum, or it is not the shard that belongs here.

    Notes
    -----
    The index is read, not mapped: see :mod:`freqcache.store.places`. It is a hundredth of the shard.
    """

    def __init__(self, file: RangeFile, n_chunks: int, identity: ShardIdentity | None = None) -> None:
        self._file = file
        self.name = file.name
        length = DIGEST_BYTES + n_chunks * 16 + CRC_BYTES
        if file.size < length:
            msg = f"{self.name}: shard has {file.size} bytes, fewer than its digest and index of {length}"
            raise StoreError(msg)
        tail = bytearray(length)
        file.read_into(file.size - length, memoryview(tail))
        digest, index, checksum = bytes(tail[:DIGEST_BYTES]), tail[DIGEST_BYTES:-CRC_BYTES], tail[-CRC_BYTES:]
        if google_crc32c.value(bytes(index)) != int.from_bytes(checksum, "little"):
            msg = f"{self.name}: the shard's index fails its checksum"
            raise StoreError(msg)
        if identity is not None and identity != ShardIdentity(size=file.size, digest=digest):
            msg = (
                f"{self.name}: not the shard that was written here: {file.size} bytes, digest {digest.hex()}, "
                f"expected {identity.size} bytes, digest {identity.digest.hex()}"
            )
            raise StoreError(msg)
        self._index = np.frombuffer(index, dtype="<u8").reshape(n_chunks, 2)

    def stored_bytes(self, chunks: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
        """Return the stored length of each of `chunks`; 0 where a chunk is missing."""
        lengths: npt.NDArray[np.uint64] = self._index[chunks, 1]
        return np.where(lengths == _MISSING, np.uint64(0), lengths)

    def read(self, chunks: npt.NDArray[np.intp]) -> tuple[Octets, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Read the stored bytes of some inner chunks, neighbours and near neighbours in one piece.

        Parameters
        ----------
        chunks : (n,) intp
            Numbers in C order.

        Returns
        -------
        stored : uint8
            This thread's buffer, valid until its next read; it also holds what lay between the chunks.
        starts, lengths : (n,) int64
            Where each chunk lies in `stored`.

        Raises
        ------
        StoreError
            If the index says that a chunk is missing or points outside the file, or the file ends early.
        """
        places = self._index[chunks]
        outside = (places > self._file.size).any(axis=1) | (places.sum(axis=1) > self._file.size)
        if outside.any():
            raise StoreError(self._explain(int(chunks[np.flatnonzero(outside)[0]])))
        return read_pieces(self._file, places.astype(np.int64))

    def _explain(self, chunk: int) -> str:
        """Return what is wrong with a chunk's entry in the index."""
        offset, length = (int(value) for value in self._index[chunk])
        if offset == _MISSING and length == _MISSING:
            return f"{self.name}: chunk {chunk} is missing"
        return f"{self.name}: chunk {chunk} lies at {offset}+{length}, past the file's {self._file.size} bytes"


def read_pieces(
    file: RangeFile, places: npt.NDArray[np.int64]
) -> tuple[Octets, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Read pieces of a file, neighbours and near neighbours together.

    Parameters
    ----------
    file : RangeFile
        The file.
    places : (n, 2) int64
        First byte and length of each piece, inside the file.

    Returns
    -------
    stored : uint8
        This thread's buffer, valid until its next read; it also holds what lay between the pieces.
    starts, lengths : (n,) int64
        Where each piece lies in `stored`.

    Raises
    ------
    StoreError
        If the file cannot be read or ends early.
    """
    first, lengths = places.T
    order = np.argsort(first)
    begins, ends = first[order], (first + lengths)[order]
    cuts = np.flatnonzero(~_bridged(begins[1:] - ends[:-1], int(lengths.sum()), file)) + 1
    run_begins = begins[np.concatenate(([0], cuts))]
    run_ends = np.maximum.reduceat(ends, np.concatenate(([0], cuts)))
    run_places = np.cumsum(run_ends - run_begins) - (run_ends - run_begins)
    stored = workspace.buffer("stored", int((run_ends - run_begins).sum()))
    view = stored.data
    runs = zip(run_begins.tolist(), run_ends.tolist(), run_places.tolist(), strict=True)
    file.read_pieces([(begin, view[place : place + end - begin]) for begin, end, place in runs])
    run = np.searchsorted(run_begins, first, side="right") - 1
    return stored, first - run_begins[run] + run_places[run], lengths


def _bridged(gaps: npt.NDArray[np.int64], wanted: int, file: RangeFile) -> npt.NDArray[np.bool_]:
    """Return which gaps between pieces are read over: the shortest first, as far as the file's limits go."""
    order = np.argsort(gaps, kind="stable")
    extra = np.cumsum(np.maximum(gaps[order], 0))
    bridged = np.empty(len(gaps), dtype=np.bool_)
    bridged[order] = (gaps[order] <= file.near) & ((extra <= file.waste * wanted) | (gaps[order] <= 0))
    return bridged

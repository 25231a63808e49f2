"""One coefficient array of a store: its geometry from ``zarr.json``, its shards, its chunks.

Every coefficient array of the format is an array of *(channel, row group)* chunks: ``y``, ``cb`` and ``cr`` are
(frequencies, blocks) with chunks (1, length); ``coefficients`` is (slots, channels, rows, cols) with chunks
(16, 1, rows, cols).
This module hides the difference from the reader; it knows nothing of samples.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.decoding import ChunkError, decode_chunks
from freqcache.store.places import LocalFile, Place
from freqcache.store.shards import ShardFile, ShardIdentity
from freqcache_formats.layout import FIXED_DTYPES, NATIVE_DTYPE

_LARGEST_CHUNK: Final = 1 << 31
"""Bytes; what blosc can hold in one frame."""

_LONGEST: Final = 1 << 48
"""Elements along an axis, so that products of a few lengths fit an int64."""

_OPEN_SHARDS: Final = 64
"""Shards of an array that are held open, at least: a file and an index of some hundred kilobytes each."""

_INDEX_BYTES: Final = 256_000_000
"""What the indexes of an array's shards may take where the files are far away: then they are fetched once."""


@dataclass(frozen=True, kw_only=True)
class ArrayGeometry:
    """Shape, chunk and shard of a coefficient array.

    Attributes
    ----------
    shape, chunk, shard : tuple of int
        Of the array, an inner chunk and a shard.
    dtype : numpy dtype
        int8 or int16.
    group_axis : int
        Axis along which row groups lie: 1 for native columns, 0 for a fixed array; the channel axis is the other
        of the first two.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    dtype: np.dtype[Any]
    group_axis: int

    @property
    def groups_per_shard(self) -> int:
        """Row groups in one shard."""
        return self.shard[self.group_axis] // self.chunk[self.group_axis]

    @property
    def n_channels(self) -> int:
        """Length of the channel axis."""
        return self.shape[1 - self.group_axis]

    @property
    def n_groups(self) -> int:
        """Row groups in the array."""
        return -(-self.shape[self.group_axis] // self.chunk[self.group_axis])

    @property
    def n_shards(self) -> int:
        """Shards of the array."""
        return -(-self.n_groups // self.groups_per_shard)

    @property
    def chunk_elements(self) -> int:
        """Elements of an inner chunk."""
        return math.prod(self.chunk)

    @property
    def chunks_per_shard(self) -> int:
        """Inner chunks in one shard."""
        return self.groups_per_shard * self.n_channels

    def shard_key(self, shard: int) -> str:
        """Return the path of shard number `shard` inside the array, by the default chunk key encoding."""
        coordinates = [0] * len(self.shape)
        coordinates[self.group_axis] = shard
        return "c/" + "/".join(map(str, coordinates))

    def inner_index(self, group_in_shard: int, channels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return the C-order numbers of a row group's inner chunks in its shard."""
        if self.group_axis == 0:
            return group_in_shard * self.n_channels + channels
        return channels * self.groups_per_shard + group_in_shard


class ChunkReader:
    """Reads chunks of one coefficient array.

    Picklable, and safe after a fork and in threads: open files belong to the process that opened them.

    Parameters
    ----------
    place : Place
        Folder of the array.
    identities : sequence of ShardIdentity or None
        What each shard of the array must be; None where nothing is recorded.
    ahead : Place, optional
        The folder, with files that were fetched already.

    Raises
    ------
    StoreError
        If ``zarr.json`` is missing or is not an array of this format, or there are more or fewer shards.
    """

    def __init__(self, place: Place, identities: Sequence[ShardIdentity | None], ahead: Place | None = None) -> None:
        self.place = place
        self.geometry, self.codec = read_geometry(place if ahead is None else ahead)
        self._identities = identities
        if len(self._identities) != self.geometry.n_shards:
            msg = f"{place}: {self.geometry.n_shards} shards, but the split records {len(self._identities)}"
            raise StoreError(msg)
        self._shards: dict[int, ShardFile] = {}
        self._opening: dict[int, Lock] = {}
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": {}, "_opening": {}}

    def gather(
        self, group: int, channels: npt.NDArray[np.intp], spans: npt.NDArray[np.int64], out: npt.NDArray[Any]
    ) -> None:
        """Decode chunks of one row group and copy parts of them, each chunk read and decoded once.

        Parameters
        ----------
        group : int
            The row group.
        channels : (channels,) intp
            Places on the channel axis.
        spans : (spans, 4) int64
            In elements: what to copy of every channel's chunk (first, length), the place in the flat `out` for the
            first channel, and how much further it goes for each next channel.
        out : array of the array's dtype
            C-contiguous.

        Raises
        ------
        StoreError
            Naming the shard, the chunk and the reason.
        """
        if len(channels) == 0:
            return
        geometry = self.geometry
        shard_number, group_in_shard = divmod(group, geometry.groups_per_shard)
        shard = self._shard(shard_number)
        stored, starts, lengths = shard.read(geometry.inner_index(group_in_shard, channels))
        itemsize = geometry.dtype.itemsize
        try:
            decode_chunks(
                self.codec,
                geometry.dtype,
                geometry.chunk_elements * itemsize,
                stored,
                starts,
                lengths,
                spans * itemsize,
                out.reshape(-1).view(np.uint8),
            )
        except ChunkError as error:
            msg = f"{shard.name}: chunk of channel {channels[error.number]}, row group {group}: {error}"
            raise StoreError(msg) from error

    def read(self, group: int, channel: int) -> npt.NDArray[Any]:
        """Return one chunk, decoded, with the chunk's shape.

        Raises
        ------
        StoreError
            As :meth:`gather`.
        """
        chunk = np.empty(self.geometry.chunk, dtype=self.geometry.dtype)
        self.gather(group, np.array([channel]), np.array([[0, chunk.size, 0, 0]]), chunk)
        return chunk

    def channel_bytes(self) -> npt.NDArray[np.int64]:
        """Return the stored bytes of all chunks of each channel, (channels,) int64; reads every shard's index."""
        total = np.zeros(self.geometry.n_channels, dtype=np.int64)
        for each in self._chunk_bytes():
            total += each
        return total

    def group_bytes(self) -> npt.NDArray[np.int64]:
        """Return the stored bytes of all chunks of each row group, (groups,) int64; reads every shard's index."""
        return np.fromiter((each.sum() for each in self._chunk_bytes()), dtype=np.int64, count=self.geometry.n_groups)

    def _chunk_bytes(self) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the stored bytes of each channel's chunk, (channels,) int64, row group after row group."""
        geometry, every = self.geometry, np.arange(self.geometry.n_channels)
        for shard in range(geometry.n_shards):
            opened = self._shard(shard)  # first: its index must be as long as the geometry says
            groups = min(geometry.groups_per_shard, geometry.n_groups - shard * geometry.groups_per_shard)
            for group in range(groups):
                yield opened.stored_bytes(geometry.inner_index(group, every)).astype(np.int64)

    def _shard(self, number: int) -> ShardFile:
        if self._owner != os.getpid():  # a forked child must not share its parent's open files, or a lock left taken
            self._shards, self._opening, self._owner = {}, {}, os.getpid()
        shard = self._shards.get(number)
        if shard is not None:
            return shard
        # Threads begin together at the first row groups of a shard; its index is not fetched by each.
        with self._opening.setdefault(number, Lock()):
            shard = self._shards.get(number)
            if shard is None:
                shard = self._open(number)
        return shard

    def _open(self, number: int) -> ShardFile:
        identity = self._identities[number]
        file = self.place.open(self.geometry.shard_key(number), None if identity is None else identity.size)
        shard = ShardFile(file, self.geometry.chunks_per_shard, identity)
        kept = _OPEN_SHARDS
        if not isinstance(file, LocalFile):  # which has a descriptor, and is opened again for nothing
            kept = max(kept, _INDEX_BYTES // (16 * self.geometry.chunks_per_shard))
        for oldest in list(self._shards)[: max(0, len(self._shards) + 1 - kept)]:
            self._shards.pop(oldest, None)
        self._shards[number] = shard
        return shard


def read_geometry(path: Place) -> tuple[ArrayGeometry, ChunkCodec]:
    """Return the form of a coefficient array and the codec of its chunks.

    Raises
    ------
    StoreError
        If ``zarr.json`` is missing or is not that of an array of this format.
    """
    try:
        document = json.loads(path.read("zarr.json"))
    except (StoreError, UnicodeDecodeError, json.JSONDecodeError) as error:
        msg = f"{path}: no readable array metadata: {error}"
        raise StoreError(msg) from error
    try:
        sharding = document["codecs"][0]
        configuration = sharding["configuration"]
        shape = tuple(document["shape"])
        dtype = np.dtype(document["data_type"])
        chunk = tuple(configuration["chunk_shape"])
        shard = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        codec = ChunkCodec.from_zarr(configuration["codecs"])
        location = configuration.get("index_location", "end")
        index_codecs = [codec["name"] for codec in configuration["index_codecs"]]
        known = document["data_type"] in {NATIVE_DTYPE, *FIXED_DTYPES}
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, StoreError) as error:
        msg = f"{path}: not a coefficient array of this format: {error!s}"
        raise StoreError(msg) from error
    expected = sharding["name"] == "sharding_indexed" and location == "end" and index_codecs == ["bytes", "crc32c"]
    if not expected or not known or len(shape) not in {2, 4}:
        msg = f"{path}: not a coefficient array of this format: expected sharded int8 or int16, index at the end"
        raise StoreError(msg)
    lengths = (shape, chunk, shard)
    if any(len(part) != len(shape) or not all(type(n) is int and n >= 0 for n in part) for part in lengths):
        msg = f"{path}: shape {shape}, chunk {chunk} and shard {shard} do not fit together"
        raise StoreError(msg)
    if not all(n > 0 and m > 0 and m % n == 0 for n, m in zip(chunk, shard, strict=True)):
        msg = f"{path}: shards of {shard} are no whole number of chunks of {chunk}"
        raise StoreError(msg)
    _check_form(path, shape, chunk, shard, dtype)
    group_axis = 1 if len(shape) == 2 else 0
    return ArrayGeometry(shape=shape, chunk=chunk, shard=shard, dtype=dtype, group_axis=group_axis), codec


def _check_form(
    path: Place, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Raise StoreError for lengths that the format does not have: offsets into chunks are computed from them."""
    if len(shape) == 2:
        forms = shape[0] == shard[0] and chunk[0] == 1
    else:
        forms = shape[1:] == shard[1:] == (shape[1], *chunk[2:]) and chunk[1] == 1
    large = math.prod(chunk) * dtype.itemsize >= _LARGEST_CHUNK or max(*shape, *shard) >= _LONGEST
    if not forms or large:
        msg = f"{path}: {dtype} of shape {shape}, chunk {chunk} and shard {shard} is no array of this format"
        raise StoreError(msg)

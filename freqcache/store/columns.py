"""One coefficient array of a store: its geometry from ``zarr.json``, its shards, its chunks.

Every coefficient array of the format is an array of *(channel, row group)* chunks: ``y``, ``cb`` and ``cr`` are
(64, blocks) with chunks (1, length); ``coefficients`` is (slots, 192, rows, cols) with chunks (16, 1, rows, cols).
This module hides the difference from the reader; it knows nothing of samples.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.shards import ShardFile
from freqcache_formats.layout import FIXED_DTYPES, NATIVE_DTYPE

_OPEN_SHARDS: Final = 64


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
    def chunks_per_shard(self) -> int:
        """Inner chunks in one shard."""
        return self.groups_per_shard * self.n_channels

    def shard_key(self, shard: int) -> str:
        """Return the path of shard number `shard` inside the array, by the default chunk key encoding."""
        coordinates = [0] * len(self.shape)
        coordinates[self.group_axis] = shard
        return "c/" + "/".join(map(str, coordinates))

    def inner_index(self, group_in_shard: int, channel: int) -> int:
        """Return the C-order number of an inner chunk in its shard."""
        if self.group_axis == 0:
            return group_in_shard * self.n_channels + channel
        return channel * self.groups_per_shard + group_in_shard


class ChunkReader:
    """Reads decoded chunks of one coefficient array of a local store.

    Picklable, and safe after a fork: file descriptors belong to the process that opened them.

    Raises
    ------
    StoreError
        If ``zarr.json`` is missing or is not an array of this format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.geometry, self.codec = _read_geometry(path)
        self._shards: OrderedDict[int, ShardFile] = OrderedDict()
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": OrderedDict()}

    def read(self, group: int, channel: int) -> npt.NDArray[Any]:
        """Return one chunk, decoded, with the chunk's shape.

        Raises
        ------
        StoreError
            Naming the array, the chunk and the reason.
        """
        geometry = self.geometry
        shard_number, group_in_shard = divmod(group, geometry.groups_per_shard)
        shard = self._shard(shard_number)
        chunk = np.empty(geometry.chunk, dtype=geometry.dtype)
        stored = shard.read(geometry.inner_index(group_in_shard, channel))
        try:
            self.codec.decode_into(stored, chunk)
        except StoreError as error:
            msg = f"{shard.path}: chunk of channel {channel}, row group {group}: {error}"
            raise StoreError(msg) from error
        return chunk

    def stored_bytes(self, channels: npt.NDArray[np.intp]) -> int:
        """Return the stored bytes of all chunks of `channels`."""
        geometry, total = self.geometry, 0
        for shard in range(-(-geometry.n_groups // geometry.groups_per_shard)):
            groups = min(geometry.groups_per_shard, geometry.n_groups - shard * geometry.groups_per_shard)
            wanted = [geometry.inner_index(g, int(c)) for g in range(groups) for c in channels]
            total += int(self._shard(shard).stored_bytes(np.array(wanted, dtype=np.intp)).sum())
        return total

    def _shard(self, number: int) -> ShardFile:
        if self._owner != os.getpid():  # a forked child must not share its parent's descriptors
            self._shards, self._owner = OrderedDict(), os.getpid()
        if number in self._shards:
            self._shards.move_to_end(number)
            return self._shards[number]
        path = self.path / self.geometry.shard_key(number)
        shard = self._shards[number] = ShardFile(path, self.geometry.chunks_per_shard)
        if len(self._shards) > _OPEN_SHARDS:
            self._shards.popitem(last=False)
        return shard


def _read_geometry(path: Path) -> tuple[ArrayGeometry, ChunkCodec]:
    try:
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
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
    except (KeyError, IndexError, TypeError, ValueError, StoreError) as error:
        msg = f"{path}: not a coefficient array of this format: {error!s}"
        raise StoreError(msg) from error
    expected = sharding["name"] == "sharding_indexed" and location == "end" and index_codecs == ["bytes", "crc32c"]
    if not expected or dtype.name not in {NATIVE_DTYPE, *FIXED_DTYPES} or len(shape) not in {2, 4}:
        msg = f"{path}: not a coefficient array of this format: expected sharded int8 or int16, index at the end"
        raise StoreError(msg)
    lengths = (shape, chunk, shard)
    if any(len(part) != len(shape) or not all(type(n) is int and n >= 0 for n in part) for part in lengths):
        msg = f"{path}: shape {shape}, chunk {chunk} and shard {shard} do not fit together"
        raise StoreError(msg)
    if not all(n > 0 and m > 0 and m % n == 0 for n, m in zip(chunk, shard, strict=True)):
        msg = f"{path}: shards of {shard} are no whole number of chunks of {chunk}"
        raise StoreError(msg)
    group_axis = 1 if len(shape) == 2 else 0
    return ArrayGeometry(shape=shape, chunk=chunk, shard=shard, dtype=dtype, group_axis=group_axis), codec

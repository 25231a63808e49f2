"""What the benchmarks know of a store by themselves: row groups, spans of blocks, and where each stored chunk lies.

Read with zarr-python and from the shards' indexes, not with freqcache's reader: that one is measured. Source:
formats/v1/spec.md, sections 6 to 8. Splits with absent slots are refused, every slot is read here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

Chunks = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
CRC_BYTES = 4


class Column:
    """One coefficient array: the channels that it holds, and its chunks.

    Attributes
    ----------
    path : Path
        Folder of the array.
    first, n_channels : int
        Its channels, by storage index.
    chunk_bytes : int
        Decoded length of a chunk.
    codec : str
        "zstd" or "blosc".
    """

    def __init__(self, path: Path, first: int) -> None:
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        inner = document["codecs"][0]["configuration"]
        axis = 0 if len(document["shape"]) == 4 else 1
        chunk, shard = inner["chunk_shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
        self.path, self.first = path, first
        self.n_channels = int(document["shape"][1 - axis])
        self.chunk_bytes = int(np.prod(chunk)) * np.dtype(document["data_type"]).itemsize
        self.codec = str(inner["codecs"][1]["name"])
        self._axis, self._per_shard = axis, shard[axis] // chunk[axis]
        self._n_shards = -(-document["shape"][axis] // shard[axis])

    def wanted(self, channels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return the positions in this array of those of `channels` that it holds."""
        return channels[(channels >= self.first) & (channels < self.first + self.n_channels)] - self.first

    def shard_path(self, number: int) -> Path:
        """Return the path of a shard."""
        key = [0] * (4 if self._axis == 0 else 2)
        key[self._axis] = number
        return self.path / "c" / "/".join(map(str, key))

    @cached_property
    def index(self) -> npt.NDArray[np.uint64]:
        """(shards, groups of a shard, channels, 2) uint64; offset and length of each chunk, its CRC included."""
        found = []
        for number in range(self._n_shards):
            length = self._per_shard * self.n_channels * 16
            with self.shard_path(number).open("rb") as file:
                file.seek(-length - CRC_BYTES, 2)
                flat = np.frombuffer(file.read(length), dtype="<u8")
            shape = (self._per_shard, self.n_channels) if self._axis == 0 else (self.n_channels, self._per_shard)
            table = flat.reshape(*shape, 2)
            found.append(table if self._axis == 0 else table.swapaxes(0, 1))
        return np.stack(found)

    @cached_property
    def memory(self) -> list[npt.NDArray[np.uint8]]:
        """Every shard file's bytes."""
        return [np.fromfile(self.shard_path(number), dtype=np.uint8) for number in range(self._n_shards)]

    def stored(self, group: int, positions: npt.NDArray[np.intp]) -> tuple[int, npt.NDArray[np.uint64]]:
        """Return the shard of a row group, and (positions, 2): offset and length of its chunks there."""
        shard, inside = divmod(group, self._per_shard)
        return shard, self.index[shard, inside, positions]


class Layout:
    """One split of a store.

    Attributes
    ----------
    store, folder : Path
        The store, and its split's folder.
    kind : str
        "native" or "fixed".
    columns : list of Column
        y, cb and cr, or the one coefficient array.
    row_groups : list of range
        The slots of each row group.
    """

    def __init__(self, store: Path) -> None:
        attributes = json.loads((store / "zarr.json").read_text(encoding="utf-8"))["attributes"]["freqcache"]
        self.store, self.kind, self.split = store, attributes["kind"], attributes["splits"][0]
        self.folder = store / self.split
        group = zarr.open_group(self.folder, mode="r")
        if (np.asarray(group["origin"]) == 255).any():
            msg = f"{store}: has absent slots; the benchmarks want a store of sound files"
            raise SystemExit(msg)
        starts = np.asarray(group["row_group_start"])
        self.row_groups = [range(int(a), int(b)) for a, b in pairwise(starts)]
        self._group_of = np.repeat(np.arange(len(self.row_groups)), np.diff(starts))
        native = self.kind == "native"
        names = ("y", "cb", "cr") if native else ("coefficients",)
        self.columns = [Column(self.folder / name, 64 * i) for i, name in enumerate(names)]
        self._offset = np.asarray(group["offset"]) if native else None
        self._grids = np.asarray(group["blocks"]) if native else None

    @property
    def n_slots(self) -> int:
        """Slots, each a sample."""
        return len(self._group_of)

    def parts(self, channels: npt.NDArray[np.intp]) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """Return the columns that hold some of `channels`, each with the positions wanted in it."""
        found = [(number, column.wanted(channels)) for number, column in enumerate(self.columns)]
        return [(number, positions) for number, positions in found if len(positions)]

    def span(self, column: int, unit: range) -> tuple[int, int]:
        """Return the positions along a column's group axis that hold some slots of one row group."""
        if self._offset is None or self._grids is None:
            return unit.start, unit.stop
        sizes = self._grids[unit.start : unit.stop, column].prod(axis=1)
        starts = self._offset[unit.start : unit.stop, column][sizes > 0]
        if not len(starts):
            return 0, 0  # grayscale samples have no chroma
        return int(starts.min()), int((starts + sizes[sizes > 0]).max())

    def samples(self, column: int, unit: range, values: npt.NDArray[Any], first: int) -> list[npt.NDArray[Any]]:
        """Return the planes of each slot, given (channels, blocks) of a native column from block `first` on."""
        if self._offset is None or self._grids is None:
            msg = "a fixed store's samples need no cutting"
            raise TypeError(msg)
        planes = []
        for start, (rows, cols) in zip(
            self._offset[unit.start : unit.stop, column].tolist(),
            self._grids[unit.start : unit.stop, column].tolist(),
            strict=True,
        ):
            here = values[:, start - first : start - first + rows * cols] if rows else values[:, :0]
            planes.append(here.reshape(len(values), rows, cols))
        return planes

    def chunks(self, unit: range, channels: npt.NDArray[np.intp]) -> list[tuple[Column, int, npt.NDArray[np.uint64]]]:
        """Return the chunks that a unit needs: of each column its shard, and (chunks, 2) offsets and lengths."""
        group = int(self._group_of[unit.start])
        return [
            (self.columns[number], *self.columns[number].stored(group, positions))
            for number, positions in self.parts(channels)
            if self.span(number, unit)[1]
        ]

    def stored_bytes(self, units: Sequence[range], channels: npt.NDArray[np.intp]) -> float:
        """Return the mean bytes an image of the chunks that the units need."""
        total = sum(int(table[:, 1].sum()) for unit in units for _, _, table in self.chunks(unit, channels))
        return total / sum(map(len, units))

    def in_memory(self, unit: range, channels: npt.NDArray[np.intp]) -> Chunks:
        """Return address, stored length without CRC, and decoded length of a unit's chunks, all in memory."""
        address, length, size = [], [], []
        for column, shard, table in self.chunks(unit, channels):
            address.append(table[:, 0] + np.uint64(column.memory[shard].ctypes.data))
            length.append(table[:, 1] - np.uint64(CRC_BYTES))
            size.append(np.full(len(table), column.chunk_bytes, dtype=np.uint64))
        return np.concatenate(address), np.concatenate(length), np.concatenate(size)

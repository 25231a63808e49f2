"""Readers of one store, each giving the same samples: freqcache's, general Zarr libraries, and the limits in C.

A unit is a range of slots inside one row group. A fixed unit is read into one array (slots, channels, rows, cols); a
native one into a list of planes for each component. Every library is called in the way that was fastest for it here:
zarr-python and zarrs with slices, one for each run of channels (index arrays are twenty times as slow in the one, and
not supported by the other), tensorstore with one index array.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore
import zarr
from store_layout import Layout

import freqcache
from freqcache_formats import ChannelMask

Channels = npt.NDArray[np.intp]
Fetch = Callable[[int, int], Callable[[], npt.NDArray[Any]]]
"""Starts to read the wanted channels of an array between two positions; what it returns waits for them."""
UnitReader = Callable[[range], Any]
HERE = Path(__file__).parent


def ours(layout: Layout, channels: Channels, *, threads: int = 1, hot: bool = False) -> Callable[[Any], Any]:
    """freqcache: the one place that knows its reader; a unit may be any sequence of slots here."""
    split: Any = freqcache.open(layout.store, hot=hot)[layout.split]
    mask = ChannelMask.from_indices(channels)
    return lambda unit: split.read(np.asarray(unit), mask, threads=threads)


def copied(layout: Layout, mapped: Path, channels: Channels) -> UnitReader:
    """The least that reading a fixed store's hot copy can cost: memcpy of its samples out of the mapped files."""
    split: Any = freqcache.open(layout.store)[layout.split]
    shape = (len(channels), *split.grid)
    files = sorted(mapped.rglob("c/*/0/0/0"), key=lambda path: int(path.parts[-4]))
    chunks = [np.memmap(path, dtype=np.int8, mode="r").reshape(-1, *shape) for path in files]
    per_chunk = len(chunks[0])

    def read(unit: Any) -> npt.NDArray[np.int8]:
        out = np.empty((len(unit), *shape), dtype=np.int8)
        for place, slot in zip(out, unit, strict=True):
            np.copyto(place, chunks[slot // per_chunk][slot % per_chunk])
        return out

    return read


def planes(layout: Layout, channels: Channels, found: Any) -> list[npt.NDArray[Any]]:
    """Return what `ours` reads as the list of arrays that `general` gives, to compare them."""
    if layout.kind == "fixed":
        return [found]
    return [sample.coefficients[number] for number, _ in layout.parts(channels) for sample in found]


def general(layout: Layout, channels: Channels, open_array: Callable[[Path, Channels, bool], Fetch]) -> UnitReader:
    """A general Zarr library: one read of each array, all started before the first is waited for."""
    fixed = layout.kind == "fixed"
    parts = layout.parts(channels)
    fetches = [open_array(layout.columns[number].path, positions, fixed) for number, positions in parts]

    def read(unit: range) -> list[npt.NDArray[Any]]:
        spans = [layout.span(number, unit) for number, _ in parts]
        waiting = [fetch(*span) if span[1] else None for fetch, span in zip(fetches, spans, strict=True)]
        if fixed:
            return [wait() for wait in waiting if wait]
        found: list[npt.NDArray[Any]] = []
        for (number, positions), wait, span in zip(parts, waiting, spans, strict=True):
            values = wait() if wait else np.empty((len(positions), 0), dtype=np.int16)
            found += layout.samples(number, unit, values, span[0])
        return found

    return read


def runs(positions: Channels) -> list[slice]:
    """Return slices that cover increasing positions."""
    cuts = np.flatnonzero(np.diff(positions) != 1) + 1
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(positions, cuts)]


def zarr_array(pipeline: str | None) -> Callable[[Path, Channels, bool], Fetch]:
    """zarr-python, with its own codec pipeline or another, on one thread."""

    def open_array(path: Path, positions: Channels, fixed: bool) -> Fetch:
        options: dict[str, Any] = {"threading.max_workers": 1}
        if pipeline:
            options |= {"codec_pipeline.path": pipeline, "codec_pipeline.strict": True}
        with zarr.config.set(options):
            array: Any = zarr.open_array(path, mode="r")
        pieces = runs(positions)

        def fetch(first: int, last: int) -> Callable[[], npt.NDArray[Any]]:
            if fixed:
                found = [array[first:last, piece] for piece in pieces]
            else:
                found = [array[piece, first:last] for piece in pieces]
            whole = found[0] if len(found) == 1 else np.concatenate(found, axis=1 if fixed else 0)
            return lambda: whole

        return fetch

    return open_array


def tensorstore_array(path: Path, positions: Channels, fixed: bool) -> Fetch:
    """tensorstore, on one thread and without a cache: a cache keeps decoded chunks, and no pass wants one twice."""
    limit = {"limit": 1}
    context = tensorstore.Context(
        {"data_copy_concurrency": limit, "file_io_concurrency": limit, "cache_pool": {"total_bytes_limit": 0}}
    )
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }
    array = tensorstore.open(spec, read=True, context=context).result()

    def fetch(first: int, last: int) -> Callable[[], npt.NDArray[Any]]:
        view = array[first:last].oindex[:, positions] if fixed else array.oindex[positions, first:last]
        return view.read().result

    return fetch


def limit_library(folder: Path) -> Any:
    """Compile chunk_limit.c."""
    library = folder / "chunk_limit.so"
    source = str(HERE / "chunk_limit.c")
    options = ["-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run(["cc", *options, source, "-o", str(library), "-lzstd", "-lblosc"], check=True)
    found = ctypes.CDLL(str(library))
    array = np.ctypeslib.ndpointer(dtype=np.uint64, flags="C_CONTIGUOUS")
    for function in (found.decode_zstd, found.decode_blosc):
        function.restype = ctypes.c_long
        function.argtypes = [array, array, array, ctypes.c_long, ctypes.c_void_p]
    found.copy.restype = None
    found.copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    found.zstd_version.restype = found.blosc_version.restype = ctypes.c_char_p
    return found


def decoding(layout: Layout, channels: Channels, units: Sequence[range], library: Any) -> UnitReader:
    """The limit: each of a unit's chunks decoded by C from memory into one buffer."""
    prepared = {unit: layout.in_memory(unit, channels) for unit in units}
    buffer = np.zeros(max(column.chunk_bytes for column in layout.columns), dtype=np.uint8)
    function = library.decode_zstd if layout.columns[0].codec == "zstd" else library.decode_blosc

    def read(unit: range) -> None:
        address, length, size = prepared[unit]
        failed = function(address, length, size, len(address), buffer.ctypes.data)
        if failed:
            msg = f"{layout.store}: chunk {failed} of slots {unit} does not decode"
            raise RuntimeError(msg)

    return read


def copying(layout: Layout, channels: Channels, units: Sequence[range], library: Any) -> UnitReader:
    """The decoded bytes of a unit's chunks, copied once."""
    sizes = {
        unit: sum(column.chunk_bytes * len(table) for column, _, table in layout.chunks(unit, channels))
        for unit in units
    }
    source, target = (np.zeros(max(sizes.values()), dtype=np.uint8) for _ in range(2))
    return lambda unit: library.copy(target.ctypes.data, source.ctypes.data, sizes[unit])


def fetching(layout: Layout, channels: Channels, units: Sequence[range]) -> UnitReader:
    """For a cold cache: pread of each run of a unit's stored bytes that lie together, and nothing else."""
    descriptors: dict[Path, int] = {}
    prepared: dict[range, list[tuple[int, int, int]]] = {}
    for unit in units:
        found = prepared[unit] = []
        for column, shard, table in layout.chunks(unit, channels):
            path = column.shard_path(shard)
            if path not in descriptors:
                descriptors[path] = os.open(path, os.O_RDONLY)
            table = table[np.argsort(table[:, 0])]
            cuts = np.flatnonzero(table[1:, 0] != table[:-1, 0] + table[:-1, 1]) + 1
            found += [(descriptors[path], int(run[:, 1].sum()), int(run[0, 0])) for run in np.split(table, cuts)]
    return _Preads(list(descriptors.values()), prepared)


class _Preads:
    """Reads runs of bytes, and closes its files when it is dropped: an open file is no obstacle, but many are."""

    def __init__(self, descriptors: list[int], prepared: dict[range, list[tuple[int, int, int]]]) -> None:
        self._descriptors, self._prepared = descriptors, prepared

    def __call__(self, unit: range) -> None:
        for run in self._prepared[unit]:
            os.pread(*run)

    def __del__(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

"""The checker's other half: coefficient arrays, from their codecs to every value (sections 6, 7 and 8).

Shards are first checked as files (present, index, digest), then read through zarr-python one row group at a time, so
that its checks of CRC-32C and of the codecs apply. Nothing of freqcache is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from problems import READ_ERRORS, Problems
from shard_files import MISSING, embedded_digest, identity, read_index

COMPONENTS = ("y", "cb", "cr")
FILLS = {"int8": -128, "int16": -32768}
ROW_GROUP = 16
Statistics = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What is known of a split once its per-sample arrays are read.

    Attributes
    ----------
    path : Path
        The split's folder.
    kind : str
        ``"native"`` or ``"fixed"``.
    channels : list of int
        Storage indices of the channels that are stored.
    starts : (groups + 1,) int64
        First slot of each row group.
    present : (slots,) bool
        Slots that are not absent.
    arrays : dict of str to array
        The per-sample arrays, by name.
    """

    path: Path
    kind: str
    channels: list[int]
    starts: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def n_groups(self) -> int:
        """Row groups."""
        return len(self.starts) - 1

    def rows(self, name: str) -> list[int]:
        """Return the storage indices of an array's channels: of its component, in a native store."""
        if self.kind == "fixed":
            return self.channels
        return [index for index in self.channels if index // 64 == COMPONENTS.index(name)]

    @property
    def names(self) -> tuple[str, ...]:
        """Coefficient arrays that there are: a native store has none of a component without a stored channel."""
        return tuple(name for name in COMPONENTS if self.rows(name)) if self.kind == "native" else ("coefficients",)


def check_coefficients(problems: Problems, layout: Layout, statistics: Statistics | None) -> None:
    """Check the coefficient arrays of a split; its statistics too if all of them can be read."""
    native, names = layout.kind == "native", layout.names
    before = len(problems.found)
    shapes = [_check_array(problems, layout, name) for name in names]
    known = [shape for shape in shapes if shape is not None]
    _check_digests(problems, layout, names, shapes)
    if len(known) < len(names) or len(problems.found) > before:
        return
    if native and not _check_places(
        problems, layout, {name: chunk[1] for name, (chunk, _, _) in zip(names, known, strict=True)}
    ):
        return
    stored = len(layout.channels)
    totals = np.zeros((4, stored))  # count, sum, sum of squares, zeros
    extremes = np.array([np.full(stored, np.inf), np.full(stored, -np.inf)])  # minimum, maximum
    means: list[list[float]] = [[] for _ in range(stored)]
    for number, name in enumerate(names):
        array: Any = zarr.open_array(layout.path / name, mode="r")
        for group in range(layout.n_groups):
            values = _read_group(problems, layout, array, name, group, known[number][0])
            if values is None:
                continue
            for first, steps, sample in _samples(problems, layout, values, name, group, known[number][0]):
                _add(totals, extremes, means, first, sample * steps[:, None])
    if len(problems.found) == before and statistics is not None:
        _check_statistics(problems, layout, statistics, totals, extremes, means)


def _check_array(problems: Problems, layout: Layout, name: str) -> tuple[tuple[int, ...], tuple[int, ...], int] | None:
    """Check metadata and shard files of one array; return its chunk, shard and number of shards if both are sound."""
    path, native = layout.path / name, layout.kind == "native"
    document = problems.json(path / "zarr.json", "array-missing")
    if document is None:
        return None
    before = len(problems.found)
    dtype = document.get("data_type")
    if dtype not in (("int16",) if native else ("int8", "int16")):
        problems.add(path, "dtype", f"data_type: found {dtype!r}")
        return None
    if document.get("fill_value") != FILLS[dtype]:
        problems.add(path, "fill", f"fill_value: expected {FILLS[dtype]}, found {document.get('fill_value')!r}")
    names = ["frequency", "block"] if native else ["sample", "channel", "row", "column"]
    if document.get("dimension_names") != names:
        problems.add(path, "dimensions", f"dimension_names: expected {names}, found {document.get('dimension_names')}")
    try:
        shape, shard = tuple(document["shape"]), tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        (sharding,) = document["codecs"]
        chunk = tuple(sharding["configuration"]["chunk_shape"])
        _check_codecs(problems, path, sharding, native)
        if native:
            good = (
                shape[0] == shard[0] == len(layout.rows(name))
                and chunk[0] == 1
                and -(-shape[1] // chunk[1]) == layout.n_groups
            )
            good = good and len(shape) == 2 and shard[1] % chunk[1] == 0
        else:
            good = shape[:2] == (len(layout.present), len(layout.channels)) and chunk == (ROW_GROUP, 1, *shape[2:])
            good = good and len(shape) == 4 and shard[1:] == shape[1:] and shard[0] % ROW_GROUP == 0
    except (KeyError, IndexError, TypeError, ValueError) as error:
        problems.add(path, "shape", f"metadata is not that of a sharded array: {error!r}")
        return None
    if not good:
        problems.add(path, "shape", f"shape {shape}, shard {shard}, chunk {chunk} do not fit {layout.n_groups} groups")
    if len(problems.found) > before:
        return None
    axis = 1 if native else 0
    n_shards = -(-layout.n_groups // (shard[axis] // chunk[axis]))
    for number in range(n_shards):
        _check_shard(problems, layout, name, number, shard[axis] // chunk[axis])
    return chunk, shard, n_shards


def _check_codecs(problems: Problems, path: Path, sharding: dict[str, Any], native: bool) -> None:
    configuration = sharding["configuration"]
    index = [codec["name"] for codec in configuration["index_codecs"]]
    at_end = configuration.get("index_location", "end") == "end"
    if sharding["name"] != "sharding_indexed" or index != ["bytes", "crc32c"] or not at_end:
        problems.add(path, "index", "expected sharding_indexed, index at the end, index codecs bytes and crc32c")
    inner = configuration["codecs"]
    names = ["bytes", "blosc" if native else "zstd", "crc32c"]
    if [codec["name"] for codec in inner] != names:
        problems.add(path, "codecs", f"inner codecs: expected {names}, found {[codec['name'] for codec in inner]}")
        return
    options = inner[1]["configuration"]
    if native and (options.get("cname"), options.get("shuffle")) != ("zstd", "bitshuffle"):
        problems.add(path, "codecs", f"blosc: expected zstd with bitshuffle, found {options}")
    if not native and options.get("checksum") is not True:
        problems.add(path, "codecs", "zstd: expected the frame checksum")


def _check_shard(problems: Problems, layout: Layout, name: str, number: int, per_shard: int) -> None:
    """Check that a shard exists, its index is sound, and every chunk of every row group lies inside it."""
    native = layout.kind == "native"
    path = _shard_path(layout, name, number)
    if not path.is_file():
        problems.add(path, "shard-missing", "missing shard")
        return
    channels = len(layout.rows(name))
    index = read_index(path, per_shard * channels)
    if index is None:
        problems.add(path, "index-checksum", "too short for its index, or the index fails its checksum")
        return
    groups = min(per_shard, layout.n_groups - number * per_shard)
    grid = index.reshape((channels, per_shard, 2) if native else (per_shard, channels, 2))
    grid = grid if native else grid.swapaxes(0, 1)
    for channel, group in np.ndindex(channels, groups):
        offset, length = map(int, grid[channel, group])
        where = f"chunk of channel {channel}, row group {number * per_shard + group}"
        if offset == length == MISSING:
            problems.add(path, "chunk-missing", f"{where}: missing")
        elif offset + length > path.stat().st_size:
            problems.add(path, "chunk-outside", f"{where}: {offset}+{length} is past the end of the file")


def _shard_path(layout: Layout, name: str, number: int) -> Path:
    key = f"c/0/{number}" if layout.kind == "native" else f"c/{number}/0/0/0"
    return layout.path / name / key


def _check_digests(
    problems: Problems,
    layout: Layout,
    names: tuple[str, ...],
    known: list[tuple[tuple[int, ...], tuple[int, ...], int] | None],
) -> None:
    n_shards = next((shape[2] for shape in known if shape is not None), None)
    native = layout.kind == "native"
    recorded = {
        key: problems.values(layout.path / key, dtype, (len(names), n_shards, *shape))
        for key, dtype, shape in (
            ("shard_digest", "uint8", (16,)),
            ("shard_bytes", "int64", ()),
        )
    }
    for key, values in recorded.items():
        for row, number in np.ndindex(values.shape[:2]) if values is not None else ():
            shard, shape = _shard_path(layout, names[row], number), known[row]
            if values is not None and shape is not None and shard.is_file():
                n_chunks = shape[1][native] // shape[0][native] * len(layout.rows(names[row]))
                if identity(shard, n_chunks)[key] != values[row, number].tobytes():
                    problems.add(shard, key, f"the file is not the one of {key}[{row}, {number}]")
                elif key == "shard_digest" and embedded_digest(shard, n_chunks) != values[row, number].tobytes():
                    problems.add(shard, key, "the digest inside the file is not its own")


def _check_places(problems: Problems, layout: Layout, lengths: dict[str, int]) -> bool:
    """Check ``blocks``, ``offset`` and ``quantization`` of every present native sample: section 6."""
    if not {"blocks", "offset", "quantization", "sampling", "width", "height"} <= set(layout.arrays):
        return False
    before = len(problems.found)
    for slot in np.flatnonzero(layout.present):
        group = int(np.searchsorted(layout.starts, slot, side="right")) - 1
        factors = layout.arrays["sampling"][slot].astype(int)
        pixels = int(layout.arrays["height"][slot]), int(layout.arrays["width"][slot])
        largest = np.maximum(factors.max(axis=0), 1)
        for component, name in enumerate(COMPONENTS):
            where = f"slot {slot}, component {component}"
            grid = layout.arrays["blocks"][slot, component].tolist()
            h, v = factors[component].tolist()
            expected = [
                math.ceil(math.ceil(n * f / int(m)) / 8) for n, f, m in zip(pixels, (v, h), largest[::-1], strict=True)
            ]
            if grid != (expected if h else [0, 0]):
                problems.add(layout.path / "blocks", "blocks", f"{where}: expected {expected}, found {grid}")
            count = grid[0] * grid[1]
            if count and (layout.arrays["quantization"][slot, component] == 0).any():
                problems.add(layout.path / "quantization", "quantization", f"{where}: a step is zero")
            if name not in lengths:
                continue
            length = lengths[name]
            start = int(layout.arrays["offset"][slot, component]) - group * length
            if count and not 0 <= start <= start + count <= length:
                message = f"{where}: blocks {start}..{start + count} of row group {group} are not inside 0..{length}"
                problems.add(layout.path / "offset", "place", message)
    return len(problems.found) == before


def _read_group(
    problems: Problems, layout: Layout, array: Any, name: str, group: int, chunk: tuple[int, ...]
) -> npt.NDArray[Any] | None:
    """Return a row group's values, channel first; on failure note each chunk that cannot be read."""
    native = layout.kind == "native"

    def read(channels: slice) -> npt.NDArray[Any]:
        length = chunk[1] if native else chunk[0]
        along = slice(group * length, (group + 1) * length)
        return np.asarray(array[channels, along] if native else array[along, channels].swapaxes(0, 1))

    try:
        return read(slice(None))
    except READ_ERRORS:
        for channel in range(array.shape[0 if native else 1]):
            try:
                read(slice(channel, channel + 1))
            except READ_ERRORS as error:
                message = f"chunk of channel {channel}, row group {group}: {error}"
                problems.add(layout.path / name, "chunk-checksum", message)
    return None


def _samples(
    problems: Problems, layout: Layout, values: npt.NDArray[Any], name: str, group: int, chunk: tuple[int, ...]
) -> list[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return (first stored channel, steps, values as (channels, blocks)) of each sample in a row group.

    Notes every position that holds the fill value although a sample covers it, or the reverse.
    """
    native, rows = layout.kind == "native", layout.rows(name)
    number = COMPONENTS.index(name) if native else 0
    frequencies = [index % 64 for index in rows]
    covered = np.zeros(values.shape[1:], dtype=bool)
    samples = []
    slots = np.arange(layout.starts[group], layout.starts[group + 1])
    for row, slot in enumerate(slots):
        if not layout.present[slot]:
            continue
        steps = layout.arrays["quantization"]
        if native:
            start = int(layout.arrays["offset"][slot, number]) - group * chunk[1]
            here: slice | int = slice(start, start + int(layout.arrays["blocks"][slot, number].prod()))
            steps = steps[slot, number, frequencies]
        else:
            here = row
        if native and covered[here].any():
            problems.add(layout.path / "offset", "place", f"slot {slot}, component {number}: overlaps another sample")
        covered[here] = True
        plane = values[:, here].reshape(len(values), -1).astype(np.float64)
        samples.append((layout.channels.index(rows[0]), steps.astype(np.float64), plane))
    fill = values == FILLS[values.dtype.name]
    if fill[:, covered].any():
        problems.add(layout.path / name, "coded-fill", f"row group {group}: a coded position holds the fill value")
    if not fill[:, ~covered].all():
        problems.add(layout.path / name, "padding", f"row group {group}: a position of no sample is not the fill value")
    return samples


def _add(
    totals: npt.NDArray[Any], extremes: npt.NDArray[Any], means: list[list[float]], first: int, plane: npt.NDArray[Any]
) -> None:
    """Add a sample's dequantized channels, (channels, blocks), to the sums of the split."""
    if plane.shape[1] == 0:
        return
    here = slice(first, first + len(plane))
    totals[0, here] += plane.shape[1]
    totals[1, here] += plane.sum(axis=1)
    totals[2, here] += (plane**2).sum(axis=1)
    totals[3, here] += (plane == 0).sum(axis=1)
    extremes[0, here] = np.minimum(extremes[0, here], plane.min(axis=1))
    extremes[1, here] = np.maximum(extremes[1, here], plane.max(axis=1))
    for channel, mean in enumerate(plane.mean(axis=1)):
        means[first + channel].append(float(mean))


def _check_statistics(
    problems: Problems,
    layout: Layout,
    statistics: Statistics,
    totals: npt.NDArray[Any],
    extremes: npt.NDArray[Any],
    means: list[list[float]],
) -> None:
    """Compare the attributes with the coefficients, where a channel has any."""
    counted = totals[0] > 0
    count = np.maximum(totals[0], 1)
    mean = totals[1] / count
    found = {
        "mean": mean,
        "std": np.sqrt(np.maximum(totals[2] / count - mean**2, 0)),
        "std_of_means": np.array([np.std(values) if values else 0.0 for values in means]),
        "minimum": extremes[0],
        "maximum": extremes[1],
        "zero_fraction": totals[3] / count,
        "count": totals[0],
    }
    for name, values in found.items():
        wrong = np.flatnonzero(counted & ~np.isclose(statistics[name], values, rtol=1e-4, atol=1e-3))
        if len(wrong):
            first = wrong[0]
            message = f"statistics.{name}[{first}]: says {statistics[name][first]}, the coefficients {values[first]}"
            problems.add(layout.path / "zarr.json", "statistics", message)

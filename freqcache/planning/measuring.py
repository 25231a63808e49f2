"""Builds a small store of the sampled files with real options, and says what each file cost: a worker's task.

Bytes of a row group are known from the store; they are divided among its images by the number of bits that their
coefficients need, which is what they are proportional to (``docs/planning.md``). Seconds of an image are those between
two reads of files. Nothing is estimated here.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.building import BuildOptions, BuildReport, build_tree
from freqcache.building.ledger import read_ledger
from freqcache.errors import NoSamplesError
from freqcache.planning.memory import forget_peak, peak
from freqcache.remote import RemotePath
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.sources.tree import UNSPLIT
from freqcache.store import FixedSplit, NativeSplit, open_store
from freqcache.store.targets import LocalTarget
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import (
    COEFFICIENTS,
    COLUMNS,
    DIGEST_BYTES,
    ROW_GROUP_BLOCKS,
    ROW_GROUP_SAMPLES,
    Origin,
)
from freqcache_formats.mask import ChannelMask

_INDEX_ENTRY: Final = 16
_SHARD_END: Final = DIGEST_BYTES + 4
"""Bytes of a shard beside its chunks: an index entry for each chunk, and the digest and the checksum at its end."""

_FULL: Final = 0.5
"""A row group filled less is not representative: what a chunk costs besides its values weighs too much in it."""

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MeasureTask:
    """What a worker needs to measure.

    Attributes
    ----------
    tree : SourceTree
        The sampled files, in one split.
    out : Path
        The store to make.
    options : BuildOptions
        Of the build.
    keep : bool
        Leave the store there.
    """

    tree: SourceTree
    out: Path
    options: BuildOptions
    keep: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What is known of each sampled file once it went into a store; arrays are in the order of the files.

    Attributes
    ----------
    origin : (n,) uint8
        :class:`~freqcache_formats.layout.Origin`; absent for a refused file.
    orientation : (n,) uint8
        EXIF's; 0 for a refused file.
    sampling : (n, 3, 2) uint8
        Factors of the components.
    side : (n,) int32
        Longer side in pixels by the file's header.
    reasons : dict of int to str
        Why files were refused.
    """

    origin: npt.NDArray[np.uint8]
    orientation: npt.NDArray[np.uint8]
    sampling: npt.NDArray[np.uint8]
    side: npt.NDArray[np.int32]
    reasons: dict[int, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What a sample's build cost.

    Attributes
    ----------
    chunk_bytes : (n,) float64
        Each file's part of the coefficient chunks; 0 for a refused file.
    seconds : (n,) float64
        Each file's part of the time that shards took.
    group_variance : float
        Of a row group's bytes about what its images' coefficients let expect, for each image of weight one.
    header_seconds : float
        Reading all headers.
    finish_seconds : float
        The end of the build.
    bytes_per_slot : float
        Of the per-sample arrays.
    split_bytes, root_bytes : int
        Metadata of a split, and of the store.
    index_bytes_per_group, index_bytes_per_shard : int
        Of shards, beside the chunks.
    blocks : (n,) float64
        Luma blocks of each file; 0 for a refused one.
    slot_share : float
        Of the files, those whose header is sound: they have a slot.
    channel_share : (192,) float64
        Each channel's part of the chunks.
    peak : int
        Bytes of memory.
    facts : Facts
        Of the files.
    """

    chunk_bytes: Float
    seconds: Float
    group_variance: float
    header_seconds: float
    finish_seconds: float
    bytes_per_slot: float
    split_bytes: int
    root_bytes: int
    index_bytes_per_group: int
    index_bytes_per_shard: int
    blocks: Float
    slot_share: float
    channel_share: Float
    peak: int
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """A reader that notes when a file's bytes are asked for."""

    reader: SourceReader
    times: dict[str, float] = field(default_factory=dict)

    @property
    def root(self) -> Path | RemotePath:
        """As of the reader."""
        return self.reader.root

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        self.times[file.path] = time.perf_counter()  # the last time is when the file becomes a sample
        return self.reader.read(file, length)


def measure(task: MeasureTask) -> Measured | tuple[str, ...]:
    """Build the store and measure; return the reasons, file by file, where none of the files could be used."""
    watch = _Watch(reader=task.tree.reader)
    tree = replace(task.tree, reader=watch)
    forget_peak()
    try:
        report = build_tree(tree, task.out, task.options, workers=1, quiet=True)
    except NoSamplesError:
        return tuple(entry.reason for entry in read_ledger(LocalTarget(task.out)))
    most = peak()
    ended = time.perf_counter() - report.stages["finish"]
    measured = _measured(task, report, watch.times, ended, most)
    if not task.keep:
        shutil.rmtree(task.out)
    return measured


def shard_seconds(task: MeasureTask) -> float:
    """Build a store and return the seconds that its headers and shards took."""
    try:
        stages = build_tree(task.tree, task.out, task.options, workers=1, quiet=True).stages
        shutil.rmtree(task.out)
    except NoSamplesError:
        return 0.0
    return stages["headers"] + stages["shards"]


def _measured(task: MeasureTask, report: BuildReport, times: dict[str, float], ended: float, most: int) -> Measured:
    split = open_store(task.out)[UNSPLIT]
    files = task.tree.splits[UNSPLIT]
    number = {file.path: i for i, file in enumerate(files)}
    places = np.array([number[split.source_path(slot)] for slot in range(len(split.labels))], dtype=np.intp)
    bits = _bits(split)
    chunk_bytes, variance = _shared_bytes(split, bits)
    native = isinstance(split, NativeSplit)
    blocks = split.values("blocks")[:, 0].astype(np.float64).prod(axis=1) if native else np.ones(len(places))
    arrays = COLUMNS if native else (COEFFICIENTS,)
    metadata, per_slot = _other_bytes(task.out / UNSPLIT, arrays)
    facts = Facts(
        origin=_spread(split.values("origin"), places, len(files), int(Origin.ABSENT)),
        orientation=_spread(split.values("orientation"), places, len(files), 0),
        sampling=_spread(split.values("sampling"), places, len(files), 0),
        side=_spread(np.maximum(split.values("source_width"), split.values("source_height")), places, len(files), 0),
        reasons={number[entry.path]: entry.reason for entry in report.failures if not entry.kept},
    )
    channels = split.channel_bytes().astype(np.float64)
    return Measured(
        chunk_bytes=_spread(chunk_bytes, places, len(files), 0),
        seconds=_spread(
            _seconds(split.row_groups, [times[files[i].path] for i in places], ended), places, len(files), 0
        ),
        group_variance=variance,
        header_seconds=report.stages["headers"],
        finish_seconds=report.stages["finish"],
        bytes_per_slot=per_slot / len(places),
        split_bytes=metadata,
        root_bytes=(task.out / "zarr.json").stat().st_size,
        index_bytes_per_group=N_CHANNELS * _INDEX_ENTRY,
        index_bytes_per_shard=len(arrays) * _SHARD_END,
        blocks=_spread(blocks, places, len(files), 0),
        slot_share=len(places) / len(files),
        channel_share=channels / max(1.0, channels.sum()),
        peak=most,
        facts=facts,
    )


def _bits(split: FixedSplit | NativeSplit) -> Float:
    """Return the bits that each slot's coefficients need, sign and magnitude; (slots,), 0 for an absent one."""
    bits = np.zeros(len(split.labels))
    every = ChannelMask.load("192")
    width = np.array([0.0, *np.log2(1 + np.arange(1, 1 << 15)) + 1], dtype=np.float32)  # of a magnitude
    for group in np.unique(split.row_groups[split.slots]):
        slots = split.slots[split.row_groups[split.slots] == group]
        batch = split.read(slots, every)
        for slot, sample in zip(slots, batch, strict=True):
            planes = (sample,) if isinstance(sample, np.ndarray) else sample.coefficients
            for plane in planes:
                bits[slot] += width[np.abs(plane.astype(np.int32))].sum(dtype=np.float64)
    return bits


def _shared_bytes(split: FixedSplit | NativeSplit, bits: Float) -> tuple[Float, float]:
    """Return each slot's part of its row group's bytes, and the variance of the groups for each image in them."""
    groups, stored = split.row_groups, split.group_bytes().astype(np.float64)
    needed = np.bincount(groups, weights=bits, minlength=len(stored))
    images = np.bincount(groups[split.slots], minlength=len(stored))
    fill = images / ROW_GROUP_SAMPLES
    if isinstance(split, NativeSplit):
        blocks = split.values("blocks")[:, 0].astype(np.float64).prod(axis=1)
        fill = np.bincount(groups, weights=blocks, minlength=len(stored)) / ROW_GROUP_BLOCKS
    usual = fill >= min(_FULL, fill.max())
    usual &= needed > 0
    if not usual.any():  # coefficients that are all zero need no bits, and yet their chunks have bytes
        return (split.labels >= 0) * stored.sum() / max(1, len(split)), 0.0
    factor = stored[usual].sum() / needed[usual].sum()
    rates = np.divide(stored, needed, out=np.full(len(stored), factor), where=usual)
    errors = (stored - factor * needed)[usual]
    variance = float((errors**2 / images[usual]).mean()) if usual.sum() > 1 else 0.0
    return bits * rates[groups], variance


def _seconds(groups: npt.NDArray[np.intp], times: list[float], ended: float) -> Float:
    """Return each slot's seconds: from its reading to the next one's; compressing a group is shared by its images."""
    spent = np.diff(np.array([*times, ended]))
    for group in np.unique(groups):
        here = np.flatnonzero(groups == group)
        total = spent[here].sum()
        own = np.append(spent[here[:-1]], spent[here[:-1]].mean() if len(here) > 1 else 1.0)
        spent[here] = total * own / own.sum() if own.sum() > 0 else total / len(here)
    return spent


def _other_bytes(folder: Path, arrays: tuple[str, ...]) -> tuple[int, int]:
    """Return the bytes of a split's metadata, and of its per-sample arrays."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    metadata = sum(path.stat().st_size for path in files if path.name == "zarr.json")
    others = [path for path in files if path.name != "zarr.json" and path.relative_to(folder).parts[0] not in arrays]
    return metadata, sum(path.stat().st_size for path in others)


def _spread(values: npt.NDArray[Any], places: npt.NDArray[np.intp], length: int, missing: int) -> npt.NDArray[Any]:
    """Return the values of slots as those of files; `missing` for files that got none."""
    spread = np.full((length, *values.shape[1:]), missing, dtype=values.dtype)
    spread[places] = values
    return spread

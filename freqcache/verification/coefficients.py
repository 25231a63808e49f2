"""The coefficients of one shard of a split: every chunk decoded, every value looked at. A worker's task.

Chunks are decoded by the kernel that reads them everywhere, which checks each CRC-32C; where it is refused, the general
codec has the last word. Everything that a chunk holds is looked at: what belongs to samples must not be the fill value,
the rest must be. The sums of the statistics are taken in the order in which a build takes them. A hot copy and the
source are compared in passing, while the coefficients are at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.quantization import coefficient_bounds
from freqcache.statistics import Accumulator
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry, read_geometry
from freqcache.store.decoding import ChunkError, Octets, decode_chunks
from freqcache.store.places import Place
from freqcache.store.shards import ShardIdentity
from freqcache.verification.findings import Findings
from freqcache.verification.hot import HotCheck
from freqcache.verification.shard_files import CheckedShard, chunk_words, open_shard
from freqcache.verification.source import SourceCheck
from freqcache.verification.splits import SplitData
from freqcache.verification.values import placed
from freqcache_formats.channels import N_FREQUENCIES
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, FIXED_DTYPES, Origin

_SLACK = 2.0
"""How far a computed sample may exceed what pixels can have: one that was also reduced can overshoot."""

Planes = dict[str, npt.NDArray[Any]]
"""A sample's coefficients: of each coefficient array, (channels, blocks), C-contiguous."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardTask:
    """What a worker needs to check one shard of all coefficient arrays of a split.

    Attributes
    ----------
    place : Place
        The store.
    split : SplitData
        Its arrays hold the slots of this shard only; its geometries are whole.
    number : int
        Of the shard.
    starts : (groups + 1,) int64 or None
        First slot of each row group of the shard, counted from the shard's first; None where that is not known.
    identities : dict of str to ShardIdentity
        What the split records of the files, by array; those that could be read.
    hot : HotCheck or None
        Of the split's hot copy.
    source : SourceCheck or None
        What to compare with the source.
    """

    place: Place
    split: SplitData
    number: int
    starts: npt.NDArray[np.int64] | None
    identities: dict[str, ShardIdentity]
    hot: HotCheck | None = None
    source: SourceCheck | None = None


@dataclass(kw_only=True, eq=False)
class ShardResult:
    """What a worker tells.

    Attributes
    ----------
    split : str
        Name of the split.
    number : int
        Of the shard.
    slots : int
        Looked at.
    findings : Findings
        Of this shard.
    sums : (9, channels) float64
        Of :class:`freqcache.statistics.Accumulator`.
    complete : bool
        Whether every coefficient is in the sums.
    """

    split: str
    number: int
    slots: int
    findings: Findings
    sums: npt.NDArray[np.float64]
    complete: bool = True


@dataclass(kw_only=True, eq=False)
class _Array:
    """One coefficient array while its shard is checked."""

    name: str
    key: str
    geometry: ArrayGeometry
    codec: ChunkCodec
    rows: range
    shard: CheckedShard | None
    buffer: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))


def check_shard(task: ShardTask) -> ShardResult:
    """Check one shard of every coefficient array of a split."""
    return _Checker(task).run()


class _Checker:
    def __init__(self, task: ShardTask) -> None:
        self._task, self._split = task, task.split
        self._findings = Findings()
        self._sums = Accumulator(len(task.split.channels))
        self._complete = True
        self._arrays = [
            self._open(name, rows) for name, rows in task.split.rows.items() if name in task.split.geometries
        ]

    def run(self) -> ShardResult:
        task = self._task
        for group in range(self._n_groups()):
            slots = None if task.starts is None else range(int(task.starts[group]), int(task.starts[group + 1]))
            self._check_group(group, slots)
        for array in self._arrays:
            if array.shard is not None:
                array.shard.finish(task.identities.get(array.name))
        return ShardResult(
            split=self._split.name,
            number=task.number,
            slots=0 if task.starts is None else int(task.starts[-1]),
            findings=self._findings,
            sums=self._sums.sums,
            complete=self._complete,
        )

    def _open(self, name: str, rows: range) -> _Array:
        task, key = self._task, f"{self._split.name}/{name}"
        geometry, codec = read_geometry(task.place / self._split.name / name)
        shard = open_shard(self._findings, task.place, key, geometry, task.number, task.identities.get(name))
        if shard is None:
            self._blame(f"{key}/{geometry.shard_key(task.number)}", None)
        return _Array(name=name, key=key, geometry=geometry, codec=codec, rows=rows, shard=shard)

    def _n_groups(self) -> int:
        if self._task.starts is not None:
            return len(self._task.starts) - 1
        before = [array.geometry.groups_per_shard * self._task.number for array in self._arrays]
        counts = [
            min(array.geometry.groups_per_shard, array.geometry.n_groups - first)
            for array, first in zip(self._arrays, before, strict=True)
        ]
        return max(counts, default=0)

    def _blame(self, key: str, group: int | None) -> None:
        """Put the samples of a row group (of the shard, for None) into the last finding, if it is of this file."""
        self._complete = False
        found, starts = self._findings.found, self._task.starts
        if starts is None or not found or found[-1].file != key:
            return
        here = range(int(starts[-1])) if group is None else range(int(starts[group]), int(starts[group + 1]))
        present = self._split.present
        samples = self._split.name_samples([slot for slot in here if present is None or present[slot]])
        last = found.pop()
        self._findings.add(last.kind, last.file, last.reason, samples)

    def _check_group(self, group: int, slots: range | None) -> None:
        samples: dict[int, Planes] = {}
        present = self._split.present
        there = [] if slots is None or present is None else [slot for slot in slots if present[slot]]
        for slot in there:
            samples[slot] = {}
        whole = set(there)
        for array in self._arrays:
            spans, owners = self._spans(array, group, there, slots)
            values = self._decode(array, group, spans)
            if values is None or slots is None or present is None:
                whole.clear()
                self._complete = False
                continue
            self._look(array, group, values, spans, owners, samples)
            if array.name != COEFFICIENTS:
                missing = [s for s in there if s not in owners and self._blocks(array.name, s)]
                whole.difference_update(missing)
                self._complete &= not missing
        if len(self._arrays) < len(self._split.rows):
            whole.clear()
        self._findings.counts.samples += len(whole)
        for slot in there:
            planes = samples[slot] if slot in whole else None
            if self._task.hot is not None:
                self._task.hot.check(self._findings, slot, self._split, planes)
            if self._task.source is not None:
                self._task.source.check(self._findings, slot, self._split, planes)

    def _blocks(self, name: str, slot: int) -> bool:
        return (
            bool(self._split.arrays["blocks"][slot, COLUMNS.index(name)].all())
            if "blocks" in self._split.arrays
            else True
        )

    def _spans(
        self, array: _Array, group: int, there: list[int], slots: range | None
    ) -> tuple[npt.NDArray[np.int64], list[int]]:
        """Return what to copy of each chunk: samples one after the other, then what is between them; and the samples.

        In elements: first, length, place for the first channel, and how much further it goes for each next channel.
        """
        pieces: list[tuple[int, int]] = []
        owners: list[int] = []
        length = array.geometry.chunk_elements
        if array.name == COEFFICIENTS:
            plane = length // array.geometry.chunk[0]
            first = 0 if slots is None else slots.start
            pieces = [((slot - first) * plane, plane) for slot in there]
            owners = list(there)
        elif {"offset", "blocks"} <= self._split.arrays.keys():
            global_group = self._task.number * array.geometry.groups_per_shard + group
            for slot in there:
                where = placed(self._split, array.name, slot, global_group)
                if where is not None:
                    pieces.append(where)
                    owners.append(slot)
        covered = 0
        between = []
        for first, count in sorted(pieces):
            if first > covered:
                between.append((covered, first - covered))
            covered = max(covered, first + count)
        if covered < length:
            between.append((covered, length - covered))
        table = np.array([*pieces, *between], dtype=np.int64).reshape(-1, 2)
        sizes = table[:, 1]
        places = (np.cumsum(sizes) - sizes) * array.geometry.n_channels
        return np.stack([table[:, 0], sizes, places, sizes], axis=1), owners

    def _decode(self, array: _Array, group: int, spans: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Decode every chunk of a row group; note those that are damaged, and return None if there are any."""
        if array.shard is None:
            return None
        geometry, key = array.geometry, f"{array.key}/{array.geometry.shard_key(self._task.number)}"
        try:
            channels, stored, starts, lengths = array.shard.read(group)
        except StoreError as error:
            self._findings.add("shard-missing", key, str(error))
            self._blame(key, group)
            return None
        size = int(spans[:, 1].sum()) * geometry.n_channels
        if len(array.buffer) < size:
            array.buffer = np.empty(size, dtype=geometry.dtype)
        values = array.buffer[:size]
        self._findings.counts.chunks += len(channels)
        bad = _decode_all(array, channels, stored, starts, lengths, spans, values)
        if bad:
            reasons = sorted(set(bad.values()))
            words = chunk_words(np.array(sorted(bad)), self._task.number * geometry.groups_per_shard + group)
            self._findings.add("chunk-checksum", key, f"{words}: {'; '.join(reasons)}")
            self._blame(key, group)
        elif len(channels) < geometry.n_channels:
            words = chunk_words(np.setdiff1d(np.arange(geometry.n_channels), channels), group)
            self._findings.add("chunk-missing", key, f"{words} of the file: its samples are not whole")
            self._blame(key, group)
        return None if bad or len(channels) < geometry.n_channels else values

    def _look(
        self,
        array: _Array,
        group: int,
        values: npt.NDArray[Any],
        spans: npt.NDArray[np.int64],
        owners: list[int],
        samples: dict[int, Planes],
    ) -> None:
        """Look at all values of a row group; count its samples' and hand their planes on."""
        channels, fill = array.geometry.n_channels, FIXED_DTYPES[array.geometry.dtype.name]
        end = int(spans[: len(owners), 1].sum()) * channels
        file = f"{array.key}/{array.geometry.shard_key(self._task.number)}"
        if end < len(values) and not (values[end:] == fill).all():
            where = f"row group {self._task.number * array.geometry.groups_per_shard + group}"
            self._findings.add("padding", file, f"{where}: a position of no sample is not the fill value")
        filled = bool(end and values[:end].min() == fill)
        for slot, (_, count, start, _) in zip(owners, spans.tolist(), strict=False):
            planes = values[start : start + channels * count].reshape(channels, count)
            samples[slot][array.name] = planes
            if filled and (planes == fill).any():
                reason = "a coefficient is the fill value"
                self._findings.add("coded-fill", file, reason, self._split.name_samples([slot]))
            steps = self._steps(array, slot)
            if steps is None:
                self._complete = False
                continue
            # Counting copies what it counts, which here need not go anywhere.
            self._sums.add(array.rows.start, planes, steps, planes, 0)
            self._check_range(array, file, slot, planes, steps)

    def _steps(self, array: _Array, slot: int) -> npt.NDArray[Any] | None:
        steps = self._split.arrays.get("quantization")
        if steps is None or array.name == COEFFICIENTS:
            return steps
        component = COLUMNS.index(array.name)
        frequencies = self._split.channels[array.rows.start : array.rows.stop] - component * N_FREQUENCIES
        found: npt.NDArray[Any] = steps[slot, component][frequencies]
        return found

    def _check_range(
        self, array: _Array, file: str, slot: int, planes: npt.NDArray[Any], steps: npt.NDArray[Any]
    ) -> None:
        """Check that pixels could have given a computed sample's coefficients; bitstreams may hold anything."""
        if self._split.arrays["origin"][slot] != Origin.COMPUTED:
            return
        largest = np.maximum(planes.max(axis=1).astype(np.float64), -planes.min(axis=1).astype(np.float64)) * steps
        bounds = np.tile(coefficient_bounds(), 3)[self._split.channels[array.rows.start : array.rows.stop]]
        if (largest > _SLACK * bounds + steps).any():
            self._findings.add("range", file, "a coefficient that no pixels have", self._split.name_samples([slot]))


def _decode_all(
    array: _Array,
    channels: npt.NDArray[np.intp],
    stored: Octets,
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
) -> dict[int, str]:
    """Decode chunks into `values`; return the reason for each channel whose chunk is damaged."""
    if not len(channels):
        return {}
    itemsize, size = array.geometry.dtype.itemsize, array.geometry.chunk_elements
    out = values.view(np.uint8)

    def decode(places: npt.NDArray[np.intp], spans: npt.NDArray[np.int64]) -> None:
        decode_chunks(
            array.codec,
            array.geometry.dtype,
            size * itemsize,
            stored,
            starts[places],
            lengths[places],
            spans * itemsize,
            out,
        )

    every = np.arange(len(channels))
    if len(channels) == array.geometry.n_channels:
        try:
            decode(every, spans)
        except ChunkError:
            pass  # which ones, the next lines tell
        else:
            return {}
    bad = {}
    whole = np.array([[0, size, 0, 0]], dtype=np.int64)
    for place in every.tolist():
        try:
            decode(every[place : place + 1], whole)
        except ChunkError as error:
            bad[int(channels[place])] = str(error)
    return bad

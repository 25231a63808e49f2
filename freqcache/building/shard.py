"""One shard of a split, from files to finished shard files: the unit of work of a build.

The task is idempotent and needs nothing but its description: it reads its files, fills one row group at a time,
writes each coefficient array's shard, and last its *record*, which marks it done. Records (``.npz`` files) hold the
per-sample values that the end of the build gathers.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from freqcache.building.options import BuildOptions, LedgerEntry
from freqcache.building.plan import Slot, end_if_damaged
from freqcache.errors import SourceError
from freqcache.extraction import Sample, extract
from freqcache.fixed_samples import to_fixed
from freqcache.sources import SourceReader
from freqcache.statistics import Accumulator
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry
from freqcache.store.durable import write_durably
from freqcache.store.encoding import ChunkEncoder
from freqcache.store.shards import ShardWriter
from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES
from freqcache_formats.layout import (
    COEFFICIENTS,
    COLUMNS,
    DIGEST_BYTES,
    FIXED_DTYPES,
    NATIVE_FILL,
    Origin,
    per_slot_arrays,
)

SHARD_FILES: Final = ("shard_digest", "shard_bytes")
"""Arrays of a split that describe its shard files."""

Buffers = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs to make one shard.

    Attributes
    ----------
    reader : SourceReader
        Gives the bytes of the files.
    store : Path
        Under construction.
    record : Path
        Where the record goes.
    split : str
        The split.
    number : int
        Of the shard in the split.
    groups : tuple of tuple of Slot
        Its row groups.
    arrays : dict of str to ArrayGeometry
        The split's coefficient arrays.
    options : BuildOptions
        What decides the bytes.
    """

    reader: SourceReader
    store: Path
    record: Path
    split: str
    number: int
    groups: tuple[tuple[Slot, ...], ...]
    arrays: dict[str, ArrayGeometry]
    options: BuildOptions

    @property
    def n_slots(self) -> int:
        """Slots of the shard."""
        return sum(map(len, self.groups))


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What a finished shard leaves for the end of the build.

    Attributes
    ----------
    samples : dict of str to array
        Per-slot values of every per-sample array.
    statistics : (9, 192) float64
        Of :class:`freqcache.statistics.Accumulator`.
    files : dict of str to (arrays, ...) array
        What the split's arrays ``shard_digest`` and ``shard_bytes`` say of this shard's files, in the order of the
        coefficient arrays.
    failures : tuple of LedgerEntry
        Files that failed, or were kept damaged.
    saturated : int
        Values that an int8 cache had to clip.
    """

    samples: dict[str, npt.NDArray[Any]]
    statistics: npt.NDArray[np.float64]
    files: dict[str, npt.NDArray[Any]]
    failures: tuple[LedgerEntry, ...]
    saturated: int

    def write(self, path: Path) -> None:
        """Write the record durably: its presence means that the shard is done."""
        words = {"failures": [entry.to_dict() for entry in self.failures], "saturated": self.saturated}
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"sample_{name}": values for name, values in self.samples.items()} | self.files
        arrays["words"] = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
        np.savez(buffer, statistics=self.statistics, **arrays)
        archive = buffer.getvalue()
        write_durably(path, _digest(archive) + archive)

    @classmethod
    def read(cls, path: Path) -> ShardRecord:
        """Read a record that :meth:`write` made.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is damaged.
        """
        data = path.read_bytes()
        digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if _digest(content) != digest:
            msg = f"{path}: a damaged record"
            raise ValueError(msg)
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            words = json.loads(archive["words"].tobytes())
            samples = {
                name.removeprefix("sample_"): archive[name] for name in archive.files if name.startswith("sample_")
            }
            return cls(
                samples=samples,
                statistics=archive["statistics"],
                files={name: archive[name] for name in SHARD_FILES},
                failures=tuple(LedgerEntry(**entry) for entry in words["failures"]),
                saturated=words["saturated"],
            )


def is_done(task: ShardTask) -> bool:
    """Whether an earlier run finished a shard: its record is sound, and its files are there with all their bytes."""
    try:
        record = ShardRecord.read(task.record)
        paths = (task.store / task.split / name / g.shard_key(task.number) for name, g in task.arrays.items())
        return bool(np.array_equal([path.stat().st_size for path in paths], record.files["shard_bytes"]))
    except (OSError, ValueError):
        return False


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def build_shard(task: ShardTask) -> int:
    """Make one shard and its record; return the number of slots.

    Raises
    ------
    BuildError
        If a file is damaged and the options say that this ends the build.
    OSError
        If the store cannot be written.
    """
    codec = ChunkCodec(name="blosc" if task.options.size is None else "zstd", level=task.options.level)
    writers = {
        name: ShardWriter(task.store / task.split / name / geometry.shard_key(task.number), geometry.chunks_per_shard)
        for name, geometry in task.arrays.items()
    }
    shard = _Shard(task)
    encoder = ChunkEncoder(codec)
    try:
        for group, slots in enumerate(task.groups):
            for name, buffer in shard.fill(group, slots).items():
                numbers = task.arrays[name].inner_index(group, np.arange(len(buffer)))
                writers[name].append(numbers, *encoder.encode(buffer))
        finished = [writer.finish() for writer in writers.values()]
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    digests = [np.frombuffer(identity.digest, dtype=np.uint8) for identity in finished]
    sizes = [identity.size for identity in finished]
    files: dict[str, npt.NDArray[Any]] = {
        "shard_digest": np.stack(digests),
        "shard_bytes": np.array(sizes, dtype=np.int64),
    }
    shard.record(files).write(task.record)
    return task.n_slots


class _Shard:
    """The values of a shard as its row groups are filled, one after the other."""

    def __init__(self, task: ShardTask) -> None:
        self._task = task
        self._samples = {
            name: np.zeros((task.n_slots, *layout.shape), dtype=layout.dtype)
            for name, layout in per_slot_arrays(task.options.kind).items()
        }
        self._samples["label"][:] = -1
        self._samples["origin"][:] = Origin.ABSENT
        self._statistics = Accumulator()
        self._failures: list[LedgerEntry] = []
        self._saturated = 0
        self._next = 0
        self._buffers = self._new_buffers()

    def fill(self, group: int, slots: tuple[Slot, ...]) -> Buffers:
        """Return the row group's values: of each array, a buffer with the channel first, used again for the next."""
        used, empty = [0, 0, 0], set(range(len(slots)))
        for position, slot in enumerate(slots):
            number, self._next = self._next, self._next + 1
            sample = self._extract(slot, number)
            if sample is None:
                continue
            if self._task.options.size is None:
                self._place_native(sample, number, group, used)
            else:
                self._place_fixed(sample, position)
                empty.remove(position)
            self._describe(sample, slot, number)
        for name, buffer in self._buffers.items():  # what no sample covers
            if name == COEFFICIENTS:
                buffer[:, [*empty, *range(len(slots), buffer.shape[1])]] = FIXED_DTYPES[buffer.dtype.name]
            else:
                buffer[:, used[COLUMNS.index(name)] :] = NATIVE_FILL
        return self._buffers

    def record(self, files: dict[str, npt.NDArray[Any]]) -> ShardRecord:
        """Return what the end of the build needs of this shard."""
        return ShardRecord(
            samples=self._samples,
            statistics=self._statistics.sums,
            files=files,
            failures=tuple(self._failures),
            saturated=self._saturated,
        )

    def _new_buffers(self) -> Buffers:
        arrays = self._task.arrays
        if self._task.options.size is None:
            return {name: np.empty((N_FREQUENCIES, a.chunk[1]), dtype=a.dtype) for name, a in arrays.items()}
        geometry = arrays[COEFFICIENTS]
        shape = (N_CHANNELS, geometry.chunk[0], *geometry.chunk[2:])
        return {COEFFICIENTS: np.empty(shape, dtype=geometry.dtype)}

    def _extract(self, slot: Slot, number: int) -> Sample | None:
        """Return the slot's sample, or None after an entry in the ledger."""
        options = self._task.options
        try:
            data = self._task.reader.read(slot.file.path)
        except SourceError as error:
            self._enter(slot, str(error))
            return None
        self._samples["source_bytes"][number] = len(data)
        digest = xxhash.xxh3_128_digest(data)
        self._samples["source_digest"][number] = np.frombuffer(digest, dtype=np.uint8)
        try:
            sample = extract(data, options.per_sample)
        except SourceError as error:
            end_if_damaged(slot.file.path, error, options.per_sample)
            self._enter(slot, str(error))
            return None
        if options.size is None and sample.block_counts != slot.blocks:
            self._enter(slot, f"its header promised {slot.blocks} blocks, its data gave {sample.block_counts}")
            return None
        if sample.warnings:
            self._enter(slot, "; ".join(sample.warnings), kept=True)
        return sample

    def _enter(self, slot: Slot, reason: str, *, kept: bool = False) -> None:
        """Enter a file into the ledger."""
        entry = LedgerEntry(path=slot.file.path, split=self._task.split, reason=reason, kept=kept)
        self._failures.append(entry)

    def _place_native(self, sample: Sample, number: int, group: int, used: list[int]) -> None:
        """Append the sample's blocks to the row group's columns and say where they lie."""
        first_group = self._task.number * self._task.arrays[COLUMNS[0]].groups_per_shard
        for component, (name, part) in enumerate(zip(COLUMNS, sample.components, strict=False)):
            length = self._task.arrays[name].chunk[1]
            self._samples["offset"][number, component] = (first_group + group) * length + used[component]
            self._samples["blocks"][number, component] = part.coefficients.shape[1:]
            self._samples["quantization"][number, component] = part.quantization
            first = component * N_FREQUENCIES
            self._statistics.add(first, part.coefficients, part.quantization, self._buffers[name], used[component])
            used[component] += part.coefficients[0].size

    def _place_fixed(self, sample: Sample, position: int) -> None:
        """Resize, crop and quantize the sample into its row of the row group."""
        options = self._task.options
        fixed = to_fixed(sample, size=options.size or 0, exact=options.exact)
        coefficients = fixed.coefficients
        self._saturated += fixed.saturated
        self._statistics.add(0, coefficients, fixed.steps, self._buffers[COEFFICIENTS], position * coefficients[0].size)

    def _describe(self, sample: Sample, slot: Slot, number: int) -> None:
        values = self._samples
        values["label"][number] = slot.file.label
        values["width"][number], values["height"][number] = sample.width, sample.height
        values["source_width"][number] = sample.source_width
        values["source_height"][number] = sample.source_height
        for component, part in enumerate(sample.components):
            values["sampling"][number, component] = part.h, part.v
        values["orientation"][number] = sample.orientation
        fixed = self._task.options.size is not None and sample.origin is Origin.EXTRACTED
        values["origin"][number] = Origin.REDUCED if fixed else sample.origin

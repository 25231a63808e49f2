"""One shard of a split, from samples to finished shard files: the unit of work of a build and of a rewrite.

The task is idempotent and needs nothing but its description: it takes its samples from their source, fills one row
group at a time, writes each coefficient array's shard, and last its *record* (:mod:`freqcache.building.records`), which
marks it done. Where samples come from is a :class:`SampleSource`'s affair: :mod:`freqcache.building.files` or
:mod:`freqcache.rewriting.source`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from socket import gethostname
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from freqcache.building.form import StoreForm
from freqcache.building.journal import present_layout
from freqcache.building.options import LedgerEntry
from freqcache.building.records import ShardRecord
from freqcache.building.slots import Slot
from freqcache.errors import BuildError
from freqcache.statistics import Accumulator
from freqcache.store.columns import ArrayGeometry
from freqcache.store.encoding import ChunkEncoder
from freqcache.store.shards import ShardWriter
from freqcache.store.targets import Target
from freqcache_formats.layout import (
    COEFFICIENTS,
    COLUMNS,
    FIXED_DTYPES,
    NATIVE_FILL,
    Origin,
    per_slot_arrays,
)

Buffers = dict[str, npt.NDArray[Any]]
Part = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Quantized coefficients (channels, block_rows, block_cols) and their steps (channels)."""


@dataclass(frozen=True, kw_only=True)
class SlotContent:
    """What goes into one slot.

    Attributes
    ----------
    parts : dict of str to Part
        By coefficient array, all of its stored channels; empty where the slot stays absent. A component without blocks
        may be left out.
    values : dict of str to value
        Of the per-sample arrays, but ``offset``; what is not there stays zero.
    failures : tuple of LedgerEntry
        Why it is absent, or was kept in spite of damage.
    saturated : int
        Values that had to be clipped.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    failures: tuple[LedgerEntry, ...] = ()
    saturated: int = 0


class SampleSource(Protocol):
    """Gives the samples of a shard. Picklable: worker processes read too."""

    def contents(self, task: ShardTask) -> Iterator[SlotContent]:
        """Yield what goes into each slot of a shard, in order; each is used before the next is asked for."""


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything a worker needs to make one shard.

    Attributes
    ----------
    source : SampleSource
        Gives the samples.
    store : Target
        Under construction.
    record : str
        Key of the record in it.
    split : str
        The split.
    number : int
        Of the shard in the split.
    groups : tuple of tuple of Slot
        Its row groups.
    arrays : dict of str to ArrayGeometry
        The split's coefficient arrays.
    form : StoreForm
        What they are like.
    layout : str
        Digest of the layout that the shard belongs to; empty where none is written.
    """

    source: SampleSource
    store: Target
    record: str
    split: str
    number: int
    groups: tuple[tuple[Slot, ...], ...]
    arrays: dict[str, ArrayGeometry]
    form: StoreForm
    layout: str = ""

    @property
    def n_slots(self) -> int:
        """Slots of the shard."""
        return sum(map(len, self.groups))

    @property
    def files(self) -> dict[str, str]:
        """Keys of the shard's files in the store, by coefficient array."""
        return {name: f"{self.split}/{name}/{array.shard_key(self.number)}" for name, array in self.arrays.items()}


def is_done(task: ShardTask) -> bool:
    """Whether somebody has finished a shard: its record is sound, and its files are there with all their bytes."""
    try:
        record = ShardRecord.read(task.store, task.record)
        if record.layout != task.layout:
            return False
        sizes = [task.store.size(key) for key in task.files.values()]
        return bool(np.array_equal(sizes, record.files["shard_bytes"]))
    except (OSError, ValueError):
        return False


def build_shard(task: ShardTask) -> int:
    """Make one shard and its record; return the number of slots.

    A shard that somebody else has finished meanwhile is left as it is: the worker of a client that was killed works on
    for a while, and an engine gives a task to a second worker where the first one seems to be lost.

    Raises
    ------
    BuildError
        If a file is damaged and the options say that this ends the build, or the build that the shard belongs to is not
        going on in the store, as far as this machine sees.
    StoreError
        If a store that is rewritten is damaged.
    OSError
        If the store cannot be written.
    """
    _check_is_wanted(task)  # before a folder is made where the store is not
    if is_done(task):
        return task.n_slots
    writers = {
        name: ShardWriter(task.store.create(key), task.arrays[name].chunks_per_shard)
        for name, key in task.files.items()
    }
    shard = _Shard(task)
    encoder = ChunkEncoder(task.form.codec)
    contents = task.source.contents(task)
    try:
        for group, slots in enumerate(task.groups):
            for name, buffer in shard.fill(group, islice(contents, len(slots))).items():
                numbers = task.arrays[name].inner_index(group, np.arange(len(buffer)))
                writers[name].append(numbers, *encoder.encode(buffer))
        finished = [writer.seal() for writer in writers.values()]
        digests = [np.frombuffer(identity.digest, dtype=np.uint8) for identity in finished]
        sizes = [identity.size for identity in finished]
        files: dict[str, npt.NDArray[Any]] = {
            "shard_digest": np.stack(digests),
            "shard_bytes": np.array(sizes, dtype=np.int64),
        }
        _check_is_wanted(task)
        with _alone(task):
            if not is_done(task):
                _check_is_wanted(task)
                for writer in writers.values():
                    writer.place()
                _write_record(shard.record(files), task)
    finally:
        for writer in writers.values():
            writer.abandon()  # what is in its place stays there
    return task.n_slots


@contextmanager
def _alone(task: ShardTask) -> Iterator[None]:
    """Let one worker at a time put this shard in place, where there are locks."""
    lock = task.store.lock(f"{task.record}.lock", wait=True)
    try:
        yield
    finally:
        lock.release()


def _write_record(record: ShardRecord, task: ShardTask) -> None:
    try:
        record.write(task.store, task.record)
    except FileNotFoundError:  # a client that began just now took the half-written record for a killed run's
        record.write(task.store, task.record)


def _check_is_wanted(task: ShardTask) -> None:
    """Refuse a shard whose build has ended, has been replaced, or lies where this machine does not see it."""
    if task.layout and present_layout(task.store) != task.layout:
        msg = (
            f"{task.store}: the build of shard {task.number} of {task.split} is not going on there, as {gethostname()} "
            "sees it: it has ended, another one has replaced it, or this machine does not share the folder"
        )
        raise BuildError(msg)


class _Shard:
    """The values of a shard as its row groups are filled, one after the other."""

    def __init__(self, task: ShardTask) -> None:
        self._task = task
        self._samples = {
            name: np.zeros((task.n_slots, *layout.shape), dtype=layout.dtype)
            for name, layout in per_slot_arrays(task.form.kind).items()
        }
        self._samples["label"][:] = -1
        self._samples["origin"][:] = Origin.ABSENT
        self._statistics = Accumulator(len(task.form.channels))
        self._failures: list[LedgerEntry] = []
        self._saturated = 0
        self._next = 0
        self._rows = task.form.rows
        self._buffers = self._new_buffers()

    def fill(self, group: int, contents: Iterable[SlotContent]) -> Buffers:
        """Return the row group's values: of each array, a buffer with the channel first, used again for the next."""
        used = dict.fromkeys(self._buffers, 0)
        covered = []
        for position, content in enumerate(contents):
            number, self._next = self._next, self._next + 1
            for name, value in content.values.items():
                self._samples[name][number] = value
            self._failures += content.failures
            self._saturated += content.saturated
            if content.parts:
                covered.append(position)
            for name, (coefficients, steps) in content.parts.items():
                size = coefficients[0].size
                if name == COEFFICIENTS:
                    used[name] = position * size
                elif size:
                    self._place(number, group, name, used[name])
                self._statistics.add(self._rows[name].start, coefficients, steps, self._buffers[name], used[name])
                used[name] += size
        for name, buffer in self._buffers.items():  # what no sample covers
            if name == COEFFICIENTS:
                buffer[:, np.setdiff1d(np.arange(buffer.shape[1]), covered)] = FIXED_DTYPES[buffer.dtype.name]
            else:
                buffer[:, used[name] :] = NATIVE_FILL
        return self._buffers

    def record(self, files: dict[str, npt.NDArray[Any]]) -> ShardRecord:
        """Return what the end of the build needs of this shard."""
        return ShardRecord(
            samples=self._samples,
            statistics=self._statistics.sums,
            files=files,
            failures=tuple(self._failures),
            saturated=self._saturated,
            layout=self._task.layout,
        )

    def _new_buffers(self) -> Buffers:
        buffers = {}
        for name, rows in self._rows.items():
            geometry = self._task.arrays[name]
            along = geometry.chunk[1:] if name != COEFFICIENTS else (geometry.chunk[0], *geometry.chunk[2:])
            buffers[name] = np.empty((len(rows), *along), dtype=geometry.dtype)
        return buffers

    def _place(self, number: int, group: int, name: str, first: int) -> None:
        """Say where a native sample's blocks lie in a column."""
        geometry = self._task.arrays[name]
        row_group = self._task.number * geometry.groups_per_shard + group
        self._samples["offset"][number, COLUMNS.index(name)] = row_group * geometry.chunk[1] + first

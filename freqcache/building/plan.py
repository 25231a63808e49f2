"""Lays a build out before anything is decoded: slots, row groups, shards.

Every file whose header passes gets a slot; its place in every array is fixed here, from the listing, the options
and the headers alone. So shards are independent tasks, and the store's bytes depend on nothing else: not on the
number of workers, not on which shard is done first, not on which file turns out to be damaged (its slot stays
empty). The layout itself is specified in ``formats/v1/spec.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from freqcache import __version__
from freqcache.building.form import StoreForm
from freqcache.building.options import BuildOptions
from freqcache.building.slots import Slot, SlotTable
from freqcache.errors import BuildError, CorruptImageError, SourceError
from freqcache.extraction import FIRST_READ, ExtractionOptions, inspect
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.sources.ahead import read_ahead
from freqcache.sources.table import encoded, paths_of
from freqcache.store.columns import ArrayGeometry
from freqcache_formats.layout import (
    BIT_SHUFFLE_UNIT,
    COEFFICIENTS,
    COLUMNS,
    ROW_GROUP_BLOCKS,
    ROW_GROUP_SAMPLES,
    SHARD_SAMPLES,
)

Scan = tuple[int, ...] | str
"""What a header says: the number of blocks of each component, or the reason why the file cannot become a sample."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitPlan:
    """The layout of one split.

    Attributes
    ----------
    name : str
        The split.
    slots : SlotTable
        In the order of the store.
    starts : (groups + 1,) int64
        The first slot of each row group, and the number of slots.
    arrays : dict of str to ArrayGeometry
        The coefficient arrays.
    groups_per_shard : int
        The same for every array.
    """

    name: str
    slots: SlotTable
    starts: npt.NDArray[np.int64]
    arrays: dict[str, ArrayGeometry]
    groups_per_shard: int

    @property
    def n_slots(self) -> int:
        """Slots of the split."""
        return len(self.slots)

    @property
    def n_shards(self) -> int:
        """Shards of each array."""
        return -(-(len(self.starts) - 1) // self.groups_per_shard)

    def shard_starts(self, shard: int) -> npt.NDArray[np.int64]:
        """Return the first slot of each row group of one shard, and that of the next shard."""
        return self.starts[shard * self.groups_per_shard : (shard + 1) * self.groups_per_shard + 1]

    def shard_groups(self, shard: int) -> tuple[tuple[Slot, ...], ...]:
        """Return the row groups of one shard: its slots are made now, and kept by nobody else."""
        starts = self.shard_starts(shard)
        first = int(starts[0])
        slots = tuple(self.slots[first : int(starts[-1])])
        return tuple(slots[start:end] for start, end in pairwise((starts - first).tolist()))


def scan_files(reader: SourceReader, files: Sequence[SourceFile], options: ExtractionOptions) -> list[Scan]:
    """Read the headers of some files; a worker's task.

    Raises
    ------
    BuildError
        If a header is damaged and the options say that this ends the build.
    """
    scans: list[Scan] = [file.problem for file in files]
    todo = [i for i, file in enumerate(files) if not file.problem]
    more: list[int] = []
    for i, start in zip(todo, read_ahead(reader, [files[i] for i in todo], FIRST_READ), strict=True):
        scan = _scanned(files[i], start, options, whole=False)
        if scan is None:
            more.append(i)
        else:
            scans[i] = scan
    for i, data in zip(more, read_ahead(reader, [files[i] for i in more]), strict=True):
        scans[i] = _scanned(files[i], data, options, whole=True) or ""
    return scans


class _MoreNeededError(Exception):
    """The start of a file does not say what there is to know."""


def _scanned(file: SourceFile, data: bytes | SourceError, options: ExtractionOptions, *, whole: bool) -> Scan | None:
    """Return what the header of a file says; None if the start of the file is not enough to tell."""
    if isinstance(data, SourceError):
        return str(data)

    def read(length: int) -> bytes:
        if length < 0 and not whole and len(data) == FIRST_READ:
            raise _MoreNeededError
        return data if length < 0 else data[:length]

    try:
        return inspect(read, options)
    except _MoreNeededError:
        return None
    except SourceError as error:
        end_if_damaged(file.path, error, options)
        return str(error)


def end_if_damaged(path: str, error: SourceError, options: ExtractionOptions) -> None:
    """Raise BuildError for a damaged file where the options ask for that."""
    if options.on_corrupt == "fail" and isinstance(error, CorruptImageError):
        msg = f"{path}: {error}"
        raise BuildError(msg) from error


def plan_split(name: str, slots: SlotTable, form: StoreForm) -> SplitPlan:
    """Lay out the slots of one split, of which there is at least one."""
    if form.grid is None:
        starts, fullest = _native_groups(slots)
        groups = len(starts) - 1
        per_shard = max(1, min(groups, round(SHARD_SAMPLES * groups / len(slots))))
        arrays = _native_arrays(groups, fullest, per_shard, form)
    else:
        starts = np.array([*range(0, len(slots), ROW_GROUP_SAMPLES), len(slots)], dtype=np.int64)
        per_shard = SHARD_SAMPLES // ROW_GROUP_SAMPLES
        arrays = _fixed_arrays(len(slots), form)
    return SplitPlan(name=name, slots=slots, starts=starts, arrays=arrays, groups_per_shard=per_shard)


def fingerprint(tree: SourceTree, options: BuildOptions) -> str:
    """Return a digest of everything that decides the store: the options, and each file's name, size and time."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(options.to_dict(), sort_keys=True).encode())
    digest.update(json.dumps(tree.classes).encode())
    digest.update(encoded(tree.identity))
    for split, files in tree.splits.items():
        digest.update(f"\n{split}\n".encode())
        for file in files:
            digest.update(encoded(f"{file.path}\0{file.label}\0{file.size}\0{file.mtime_ns}\n"))
    return digest.hexdigest()


def layout(plans: Sequence[SplitPlan]) -> str:
    """Return a digest of where everything goes: shards made by another layout must not be mixed with this one's.

    The fingerprint alone does not decide it: a file whose header could not be read in one run may be readable in the
    next, and another release may lay out the same files in another way.
    """
    digest = hashlib.blake2b(__version__.encode(), digest_size=16)
    for plan in plans:
        digest.update(f"\n{plan.name} {plan.groups_per_shard} {plan.arrays}\n".encode())
        ends = iter(plan.starts[1:].tolist())
        end, number = next(ends), 0
        for chunk in plan.slots.chunks():
            rows = zip(paths_of(chunk), chunk.rows["blocks"].tolist(), chunk.rows["components"].tolist(), strict=True)
            for path, blocks, components in rows:
                digest.update(b"%b\0%b\n" % (path, str(tuple(blocks[:components])).encode()))
                number += 1
                if number == end:
                    digest.update(b"\n")
                    end = next(ends, 0)
    return digest.hexdigest()


def _native_groups(slots: SlotTable) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Group whole images up to the target number of luma blocks; a larger image makes a group of its own.

    Returns the first slot of each group, and the number of slots; and the blocks of each component in the row group
    that has most of them.
    """
    starts, fullest = [0], [0, 0, 0]
    luma = cb = cr = number = 0
    for chunk in slots.chunks():
        for own in chunk.rows["blocks"].tolist():
            if number > starts[-1] and luma + own[0] > ROW_GROUP_BLOCKS:
                fullest = list(map(max, fullest, (luma, cb, cr)))
                luma = cb = cr = 0
                starts.append(number)
            luma, cb, cr = luma + own[0], cb + own[1], cr + own[2]
            number += 1
    return np.array([*starts, number], dtype=np.int64), list(map(max, fullest, (luma, cb, cr)))


def _native_arrays(n_groups: int, fullest: Sequence[int], per_shard: int, form: StoreForm) -> dict[str, ArrayGeometry]:
    """Columns whose chunks are as long as the fullest row group needs, for each component by itself."""
    arrays = {}
    for name, rows in form.rows.items():
        length = max(1, -(-fullest[COLUMNS.index(name)] // BIT_SHUFFLE_UNIT)) * BIT_SHUFFLE_UNIT
        arrays[name] = ArrayGeometry(
            shape=(len(rows), length * n_groups),
            chunk=(1, length),
            shard=(len(rows), length * per_shard),
            dtype=form.dtype,
            group_axis=1,
        )
    return arrays


def _fixed_arrays(n_slots: int, form: StoreForm) -> dict[str, ArrayGeometry]:
    rows, columns = form.grid or (0, 0)
    geometry = ArrayGeometry(
        shape=(n_slots, len(form.channels), rows, columns),
        chunk=(ROW_GROUP_SAMPLES, 1, rows, columns),
        shard=(SHARD_SAMPLES, len(form.channels), rows, columns),
        dtype=form.dtype,
        group_axis=0,
    )
    return {COEFFICIENTS: geometry}

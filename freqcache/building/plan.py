"""Lays a build out before anything is decoded: slots, row groups, shards.

Every file whose header passes gets a slot; its place in every array is fixed here, from the listing, the options
and the headers alone. So shards are independent tasks, and the store's bytes depend on nothing else: not on the
number of workers, not on which shard is done first, not on which file turns out to be damaged (its slot stays
empty). The layout itself is specified in ``formats/v1/spec.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freqcache import __version__
from freqcache.building.form import StoreForm
from freqcache.building.options import BuildOptions
from freqcache.errors import BuildError, CorruptImageError, SourceError
from freqcache.extraction import FIRST_READ, ExtractionOptions, inspect
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.sources.ahead import read_ahead
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One planned sample.

    Attributes
    ----------
    path : str
        Of its source file, relative to the source.
    label : int
        Its class.
    blocks : tuple of int
        Blocks of each component that the sample will have (one or three).
    file : SourceFile or None
        What it is made of, in a build.
    stored : (int, int) or None
        Where a sample lies that is rewritten: number of its store among the inputs, and its slot there.
    """

    path: str
    label: int
    blocks: tuple[int, ...]
    file: SourceFile | None = None
    stored: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """The layout of one split.

    Attributes
    ----------
    name : str
        The split.
    groups : tuple of tuple of Slot
        Row groups, in order; slots are numbered through them.
    arrays : dict of str to ArrayGeometry
        The coefficient arrays.
    groups_per_shard : int
        The same for every array.
    """

    name: str
    groups: tuple[tuple[Slot, ...], ...]
    arrays: dict[str, ArrayGeometry]
    groups_per_shard: int

    @property
    def n_slots(self) -> int:
        """Slots of the split."""
        return sum(map(len, self.groups))

    @property
    def n_shards(self) -> int:
        """Shards of each array."""
        return -(-len(self.groups) // self.groups_per_shard)

    def shard_groups(self, shard: int) -> tuple[tuple[Slot, ...], ...]:
        """Return the row groups of one shard."""
        return self.groups[shard * self.groups_per_shard : (shard + 1) * self.groups_per_shard]


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


def plan_split(name: str, slots: Sequence[Slot], form: StoreForm, seed: int | None) -> SplitPlan:
    """Arrange the slots of one split, shuffled by `seed`, or in their order if that is None."""
    if seed is not None:
        slots = sorted(slots, key=lambda slot: shuffle_key(slot.path, seed))
    groups = tuple(_native_groups(slots) if form.grid is None else _fixed_groups(slots))
    per_shard = max(1, min(len(groups), round(SHARD_SAMPLES * len(groups) / max(1, len(slots)))))
    arrays = _native_arrays(groups, per_shard, form) if form.grid is None else _fixed_arrays(len(slots), form)
    if form.grid is not None:
        per_shard = SHARD_SAMPLES // ROW_GROUP_SAMPLES
    return SplitPlan(name=name, groups=groups, arrays=arrays, groups_per_shard=per_shard)


def fingerprint(tree: SourceTree, options: BuildOptions) -> str:
    """Return a digest of everything that decides the store: the options, and each file's name, size and time."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(options.to_dict(), sort_keys=True).encode())
    digest.update(json.dumps(tree.classes).encode())
    digest.update(tree.identity.encode("utf-8", "surrogateescape"))
    for split, files in tree.splits.items():
        digest.update(f"\n{split}\n".encode())
        for file in files:
            digest.update(
                f"{file.path}\0{file.label}\0{file.size}\0{file.mtime_ns}\n".encode("utf-8", "surrogateescape")
            )
    return digest.hexdigest()


def layout(plans: Sequence[SplitPlan]) -> str:
    """Return a digest of where everything goes: shards made by another layout must not be mixed with this one's.

    The fingerprint alone does not decide it: a file whose header could not be read in one run may be readable in the
    next, and another release may lay out the same files in another way.
    """
    digest = hashlib.blake2b(__version__.encode(), digest_size=16)
    for plan in plans:
        digest.update(f"\n{plan.name} {plan.groups_per_shard} {plan.arrays}\n".encode())
        for group in plan.groups:
            for slot in group:
                digest.update(f"{slot.path}\0{slot.blocks}\n".encode("utf-8", "surrogateescape"))
            digest.update(b"\n")
    return digest.hexdigest()


def shuffle_key(path: str, seed: int) -> bytes:
    """Sorting by a keyed hash shuffles the same way on every platform and in every release of numpy."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), salt=seed.to_bytes(16, "little")).digest()


def _native_groups(slots: Sequence[Slot]) -> Iterator[tuple[Slot, ...]]:
    """Whole images up to the target number of luma blocks; a larger image makes a group of its own."""
    group: list[Slot] = []
    blocks = 0
    for slot in slots:
        if group and blocks + slot.blocks[0] > ROW_GROUP_BLOCKS:
            yield tuple(group)
            group, blocks = [], 0
        group.append(slot)
        blocks += slot.blocks[0]
    if group:
        yield tuple(group)


def _fixed_groups(slots: Sequence[Slot]) -> Iterator[tuple[Slot, ...]]:
    for start in range(0, len(slots), ROW_GROUP_SAMPLES):
        yield tuple(slots[start : start + ROW_GROUP_SAMPLES])


def _native_arrays(groups: Sequence[Sequence[Slot]], per_shard: int, form: StoreForm) -> dict[str, ArrayGeometry]:
    """Columns whose chunks are as long as the fullest row group needs, for each component by itself."""
    arrays = {}
    for name, rows in form.rows.items():
        component = COLUMNS.index(name)
        fullest = max(sum(sum(slot.blocks[component : component + 1]) for slot in group) for group in groups)
        length = max(1, -(-fullest // BIT_SHUFFLE_UNIT)) * BIT_SHUFFLE_UNIT
        arrays[name] = ArrayGeometry(
            shape=(len(rows), length * len(groups)),
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

"""Runs a verification: the metadata and small values of every split, then their shards in worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.building.ledger import ledger_owner
from freqcache.building.options import MADE_FROM
from freqcache.errors import StoreError
from freqcache.progress import progress
from freqcache.sources import SourceReader, list_source
from freqcache.sources.spool import copy_files, left_spool, temporary_spool
from freqcache.statistics import Accumulator
from freqcache.store import Store, open_store
from freqcache.store.content import split_digest, store_id
from freqcache.store.places import LocalPlace
from freqcache.store.shards import ShardIdentity
from freqcache.store.targets import Target
from freqcache.verification.coefficients import ShardResult, ShardTask, check_shard
from freqcache.verification.documents import Documents, group_problems
from freqcache.verification.findings import Findings, VerifyReport
from freqcache.verification.hot import HotCheck, read_hot
from freqcache.verification.metadata import check_keys, check_metadata_digest, check_version
from freqcache.verification.source import SourceCheck, compare_listing, read_ledger, read_options
from freqcache.verification.splits import SplitData, held_channels, read_split
from freqcache.verification.values import check_values, row_groups
from freqcache.workers import Pool, WorkerDiedError
from freqcache_formats.layout import ATTRIBUTE, HOT, SPLIT_ARRAYS, per_slot_arrays
from freqcache_formats.metadata import STATISTICS

_NOISE: Final = (1e-9, 1e-9)
_ROUNDED: Final = (1e-4, 1e-3)
"""Relative and absolute difference of statistics: what another order of summing makes, and what rounding for people
does (the checker of formats/v1/conformance/ allows it)."""

_OURS: Final = "freqcache "
_NAMED: Final = 20


def verify(
    path: str | Path,
    *,
    source: str | Path | None = None,
    sample: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    quiet: bool = False,
) -> VerifyReport:
    """Check every byte of a store, and, where the source is given, that it is what the source gives.

    Parameters
    ----------
    path : path or URL
        The store.
    source : path, optional
        What the store was built from: samples are extracted anew and compared.
    sample : int, optional
        Compare so many random samples of each split with the source instead of all.
    seed : int
        Of the choice.
    workers : int, optional
        Processes; all cores by default. 1 works in this process.
    quiet : bool
        Show no progress.

    Returns
    -------
    VerifyReport
        What was found; nothing in a sound store.

    Raises
    ------
    StoreError, FormatError
        If there is no complete store of a known version, or it was not built from images and a source is given.
    BuildError
        If the source cannot be listed.
    """
    began = time.perf_counter()
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1 or (sample is not None and sample < 1):
        msg = f"workers, sample: expected at least 1, found {workers}, {sample}"
        raise StoreError(msg)
    store = open_store(path, hot=False)
    findings = Findings()
    documents = Documents(place=store.place, findings=findings)
    splits = _read_store(documents, store)
    hot = _read_hot(documents, store, splits)
    with ExitStack() as stack:
        checks: dict[str, SourceCheck] = {}
        if source is not None:
            ledger = ledger_owner(path)
            checks = _source_checks(findings, store, splits, source, ledger, (sample, seed), stack, quiet)
        _check_shards(findings, store, splits, hot, checks, workers, quiet)
    if isinstance(store.place, LocalPlace):
        _note_other_files(findings, store.place.path, documents.expected)
    return VerifyReport(
        path=store.location,
        findings=tuple(findings.found),
        notes=tuple(findings.notes),
        counts=findings.counts,
        seconds=time.perf_counter() - began,
    )


def _read_store(documents: Documents, store: Store) -> list[SplitData]:
    """Check the root and everything of the splits but coefficients; return the splits that could be read."""
    findings = documents.findings
    document = documents.read("", "root")
    if document is None:
        return []
    documents.report("", group_problems(document))
    attributes = document["attributes"][ATTRIBUTE]  # which open_store has read
    check_version(findings, "zarr.json", attributes["version"])
    check_keys(findings, "zarr.json", attributes, "store.schema.json")
    if len(set(attributes["splits"])) < len(attributes["splits"]):
        findings.add("splits", "zarr.json", f"splits: a name stands twice in {attributes['splits']}")
    channels = held_channels(attributes["channels"])
    splits = []
    for name in store.splits:
        split = read_split(documents, attributes, name, channels)
        if split is not None:
            check_values(findings, split)
            splits.append(split)
    check_metadata_digest(documents, "", attributes)
    _check_id(findings, attributes, channels, splits)
    return splits


def _check_id(
    findings: Findings, attributes: Mapping[str, Any], channels: npt.NDArray[np.intp], splits: list[SplitData]
) -> None:
    """Compute the id anew from what was read, if all of that could be."""
    digests = {}
    for split in splits:
        if not {*per_slot_arrays(split.kind), *SPLIT_ARRAYS} <= split.arrays.keys():
            return
        digests[split.name] = split_digest(split.kind, split.arrays)
    if list(digests) != attributes["splits"]:
        return
    found = store_id(attributes["kind"], attributes["classes"], channels.tolist(), digests)
    if found == attributes["id"]:
        return
    if attributes["creator"].startswith(_OURS):
        findings.add("id", "zarr.json", f"id: says {attributes['id']}, the content gives {found}")
    else:
        findings.notes.append("id: not computed as freqcache does; it could not be checked")


def _read_hot(documents: Documents, store: Store, splits: list[SplitData]) -> dict[str, HotCheck]:
    """Return the checks of the hot copy, by split; none where there is no copy, or one that is being made."""
    if not isinstance(store.place, LocalPlace):
        with suppress(StoreError):
            (store.place / HOT).read("zarr.json")
            documents.findings.notes.append("hot: the hot copy was not checked: it is used in local folders alone")
        return {}
    folder = store.place.path / HOT
    if not folder.exists() or (folder / ".build").exists():
        return {}
    return read_hot(documents, store.id, splits)


def _source_checks(
    findings: Findings,
    store: Store,
    splits: list[SplitData],
    source: str | Path,
    beside: Target | None,
    choice: tuple[int | None, int],
    stack: ExitStack,
    quiet: bool,
) -> dict[str, SourceCheck]:
    """Compare the listing of the source with the store; return what compares samples, by split."""
    options = read_options(store.metadata.options, store.location)
    tree = list_source(source)
    ledger = None if beside is None else read_ledger(beside)
    if ledger is None and any(split.present is not None and not split.present.all() for split in splits):
        findings.notes.append("no readable ledger beside the store: which files it left out could not be checked")
    rewritten = MADE_FROM in store.metadata.options
    if rewritten:
        findings.notes.append("made from other stores: files of the source that it does not have are not looked for")
    compare_listing(findings, tree, splits, ledger, options, whole=not rewritten)
    sample, seed = choice
    rng, found = np.random.default_rng(seed), {}
    for split in splits:
        slots = np.flatnonzero(split.present) if split.present is not None else np.zeros(0, dtype=np.intp)
        if sample is not None and sample < len(slots):
            slots = rng.choice(slots, sample, replace=False)
        paths = {slot: split.path(slot) for slot in slots.tolist()}
        found[split.name] = {slot: file for slot, path in paths.items() if (file := tree.find(path)) is not None}
    reader: SourceReader = tree.reader
    if tree.sequential:  # the store's order is another one
        every = (file for files in found.values() for file in files.values())
        reader, copies = copy_files(reader, every, stack.enter_context(temporary_spool()), quiet=quiet)
        found = {name: {slot: copies[file.path] for slot, file in files.items()} for name, files in found.items()}
    return {name: SourceCheck(reader=reader, options=options, files=files) for name, files in found.items()}


def _check_shards(
    findings: Findings,
    store: Store,
    splits: list[SplitData],
    hot: Mapping[str, HotCheck],
    checks: Mapping[str, SourceCheck],
    workers: int,
    quiet: bool,
) -> None:
    """Check the coefficients, shard by shard, and the statistics that they give."""
    tasks = [task for split in splits for task in _tasks(findings, store, split, hot, checks)]
    results: dict[tuple[str, int], ShardResult] = {}
    # What zarr-python opens (a zip file, a URL) is not sent to other processes.
    pool = Pool(workers if isinstance(store.place, LocalPlace) else 1)
    with pool, progress(sum(split.slots for split in splits), "verifying", unit="slots", quiet=quiet) as bar:
        try:
            for result in pool.run(check_shard, tasks):
                results[result.split, result.number] = result
                bar.update(result.slots)
        except WorkerDiedError as error:
            msg = f"{store.location}: a worker process died (killed, or out of memory); --workers 1 needs least memory"
            raise StoreError(msg) from error
    for split in splits:
        mine = [results[task.split.name, task.number] for task in tasks if task.split.name == split.name]
        for result in mine:
            findings.merge(result.findings)
        whole = split.geometries.keys() == split.rows.keys() and all(result.complete for result in mine)
        if whole and split.statistics:
            _check_statistics(findings, split, mine)


def _tasks(
    findings: Findings,
    store: Store,
    split: SplitData,
    hot: Mapping[str, HotCheck],
    checks: Mapping[str, SourceCheck],
) -> Iterator[ShardTask]:
    """Yield the task of each shard."""
    if not split.geometries:
        return
    geometry = next(iter(split.geometries.values()))
    starts, identities = row_groups(split), _identities(findings, split, geometry.n_shards)
    for number in range(geometry.n_shards):
        first, last, cuts = 0, 0, None
        if starts is not None:
            here = starts[number * geometry.groups_per_shard : (number + 1) * geometry.groups_per_shard + 1]
            first, last, cuts = int(here[0]), int(here[-1]), here - here[0]
        part = split.part(first, last)
        yield ShardTask(
            place=store.place,
            split=part,
            number=number,
            starts=cuts,
            identities={name: known[number] for name, known in identities.items()},
            hot=hot[split.name].part(first, last) if split.name in hot else None,
            source=checks[split.name].part(first, last) if split.name in checks else None,
        )


def _identities(findings: Findings, split: SplitData, n_shards: int) -> dict[str, list[ShardIdentity]]:
    """Return what the split records of each shard file, by array."""
    sizes, digests = split.arrays.get("shard_bytes"), split.arrays.get("shard_digest")
    if sizes is None or digests is None:
        return {}
    if sizes.shape != (len(split.rows), n_shards) or digests.shape[:2] != sizes.shape:
        reason = f"shapes {digests.shape} and {sizes.shape}, expected {len(split.rows)} arrays of {n_shards} shards"
        findings.add("shape", f"{split.name}/shard_bytes", reason)
        return {}
    return {
        name: [ShardIdentity(size=n, digest=d.tobytes()) for n, d in zip(row.tolist(), rows, strict=True)]
        for name, row, rows in zip(split.rows, sizes, digests, strict=True)
    }


def _check_statistics(findings: Findings, split: SplitData, results: list[ShardResult]) -> None:
    """Compare the statistics of the attributes with those of the decoded coefficients."""
    sums = Accumulator(len(split.channels))
    for result in results:
        other = Accumulator()
        other.sums = result.sums
        sums.merge(other)
    computed, rounded = sums.result(), False
    for name in STATISTICS:
        recorded, found = split.statistics[name], getattr(computed, name)
        wrong = np.flatnonzero(~np.isclose(recorded, found, rtol=_ROUNDED[0], atol=_ROUNDED[1]))
        if len(wrong):
            first = int(wrong[0])
            message = f"statistics.{name}: {len(wrong)} are not the coefficients', such as that of channel "
            message += f"{split.channels[first]}: says {recorded[first]}, expected {found[first]}"
            findings.add("statistics", f"{split.name}/zarr.json", message)
        rounded |= not np.allclose(recorded, found, rtol=_NOISE[0], atol=_NOISE[1])
    if rounded and not findings.found:
        findings.notes.append(f"{split.name}/zarr.json: its statistics are rounded")


def _note_other_files(findings: Findings, store: Path, expected: set[str]) -> None:
    """Note files in the store's folder, and beside it, that belong to nothing."""
    spool = left_spool(store)
    if spool is not None:
        findings.notes.append(f"{spool}: of a build of this store that runs, or was killed; the next one removes it")
    others = []
    for base, folders, names in os.walk(store):
        folders.sort()
        relative = Path(base).relative_to(store)
        others += [(relative / name).as_posix() for name in sorted(names)]
    others = [path for path in others if path not in expected]
    for path in others[:_NAMED]:
        if path.endswith(".partial"):
            words = "left by a run that was killed"
        elif ".build" in Path(path).parts:
            words = "of a build that has not finished, or was killed at its end"
        else:
            words = "belongs to nothing"
        findings.notes.append(f"{path}: {words}")
    if len(others) > _NAMED:
        findings.notes.append(f"{len(others) - _NAMED} files more belong to nothing")

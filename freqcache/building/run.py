"""Runs a build: list, scan headers, lay out, make shards, finish.

The shards are made by worker processes, or in this process with one worker. Whatever ends a build early (an error,
Ctrl-C, a killed worker, a full disk) leaves the finished shards and their records behind, and the same call goes on
from there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from freqcache import __version__
from freqcache.building.files import FileSource
from freqcache.building.finish import write_root, write_split
from freqcache.building.form import StoreForm
from freqcache.building.journal import Journal, refuse_taken
from freqcache.building.ledger import write_ledger
from freqcache.building.making import Shards, check_workers, make_shards, resumable
from freqcache.building.options import BuildOptions, BuildReport, LedgerEntry
from freqcache.building.placing import keep_apart, place_of
from freqcache.building.plan import Scan, Slot, SplitPlan, fingerprint, plan_split, scan_files
from freqcache.errors import NoSamplesError
from freqcache.interruption import GOES_ON, going_on
from freqcache.progress import progress
from freqcache.sources import Item, SourceFile, SourceReader, SourceTree, list_source
from freqcache.sources.items import spool_items
from freqcache.sources.remote_reading import confirm_unchanged
from freqcache.sources.spool import Spool, spooled
from freqcache.workers import Pool
from freqcache_formats.layout import Origin

_SCAN_BATCH: Final = 64
_WHY_NOT_INSIDE: Final = "a store there would be taken for a class"

_log = logging.getLogger("freqcache")


def build(
    source: str | os.PathLike[str] | Iterable[Item],
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> BuildReport:
    """Build a cache from images.

    Parameters
    ----------
    source : path or iterable of Item
        A folder of class folders, or of train/ and val/ (test/) with class folders; a manifest, WebDataset tars,
        Parquet files, or a dataset that ``save_to_disk`` wrote. Or items, which are consumed once and copied beside the
        store while the build lasts.
    out : path
        The store to make. An unfinished build of the same files with the same options is finished.
    options : BuildOptions, optional
        What decides the bytes of the store.
    workers : int, optional
        Processes; all cores by default. 1 works in this process. The bytes do not depend on it.
    overwrite : bool
        Replace a store that stands at `out`.
    quiet : bool
        Show no progress.

    Returns
    -------
    BuildReport
        What was built and what failed.

    Raises
    ------
    BuildError
        If the build cannot start or finish; nothing half-made can be taken for a store.
    """
    options = options or BuildOptions()
    workers = check_workers(workers)
    clock = _Clock()
    out = place_of(out)
    with Spool(out) as spool:
        if isinstance(source, (str, os.PathLike)):
            tree = list_source(source)
            keep_apart(out, tree.root, _WHY_NOT_INSIDE)
        else:
            refuse_taken(out, overwrite=overwrite)  # before hours of spooling
            tree = spool_items(source, spool, quiet=quiet)
        clock.ends("listing")
        return _build(tree, out, options, spool, clock, workers=workers, overwrite=overwrite, quiet=quiet)


def build_tree(
    tree: SourceTree,
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> BuildReport:
    """Build a cache from files that are listed already: all of a source, or some of it.

    Parameters
    ----------
    tree : SourceTree
        The files, and what reads them.
    out, options, workers, overwrite, quiet
        As for :func:`build`.

    Raises
    ------
    NoSamplesError
        If none of the files could be used.
    BuildError
        If the build cannot start or finish; nothing half-made can be taken for a store.
    """
    workers = check_workers(workers)
    clock = _Clock()
    out = place_of(out)
    keep_apart(out, tree.root, _WHY_NOT_INSIDE)
    with Spool(out) as spool:
        return _build(
            tree, out, options or BuildOptions(), spool, clock, workers=workers, overwrite=overwrite, quiet=quiet
        )


def _build(
    tree: SourceTree,
    out: Path,
    options: BuildOptions,
    spool: Spool,
    clock: _Clock,
    *,
    workers: int,
    overwrite: bool,
    quiet: bool,
) -> BuildReport:
    with (
        going_on(GOES_ON),
        Journal(out, fingerprint(tree, options), overwrite=overwrite) as journal,
        Pool(workers) as pool,
        resumable(out),
    ):
        listed = tree
        if tree.sequential:
            tree = spooled(tree, spool, quiet=quiet)
        form = StoreForm.of_build(options)
        plans, refused = _plan(tree, options, form, pool, quiet)
        if not plans:
            raise _nothing_left(journal, refused, tree)
        clock.ends("headers")
        samples = FileSource(reader=tree.reader, options=options)
        shards = make_shards(journal, pool, plans, samples, form, "building", quiet=quiet)
        confirm_unchanged(listed)
        clock.ends("shards")
        return _finish(journal, tree, plans, shards, refused, options, clock)


class _Clock:
    """Seconds of each stage of a build, one after the other."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._began = self._last = time.perf_counter()

    def ends(self, stage: str) -> None:
        """Note that a stage is over."""
        now = time.perf_counter()
        self.stages[stage], self._last = now - self._last, now

    @property
    def total(self) -> float:
        """Seconds from the first stage's begin to the last one's end."""
        return self._last - self._began


def _plan(
    tree: SourceTree, options: BuildOptions, form: StoreForm, pool: Pool, quiet: bool
) -> tuple[list[SplitPlan], list[LedgerEntry]]:
    """Read every header; return the plans of the splits, and the files refused already."""
    files = [(split, file) for split, listed in tree.splits.items() for file in listed]
    batches = [range(start, min(start + _SCAN_BATCH, len(files))) for start in range(0, len(files), _SCAN_BATCH)]
    entries = [[files[i][1] for i in batch] for batch in batches]
    scans: dict[int, Scan] = {}
    with progress(len(files), "reading headers", quiet=quiet) as bar:
        numbered = list(enumerate(entries))
        for number, results in pool.run(partial(_scan, tree.reader, options), numbered):
            scans.update(zip(batches[number], results, strict=True))
            bar.update(len(results))
    slots: dict[str, list[Slot]] = {split: [] for split in tree.splits}
    refused = []
    for i, (split, file) in enumerate(files):
        scan = scans[i]
        if isinstance(scan, str):
            refused.append(LedgerEntry(path=file.path, split=split, reason=scan))
        else:
            slots[split].append(Slot(path=file.path, label=file.label, blocks=scan, file=file))
    seed = options.seed if options.shuffle else None
    return [plan_split(split, planned, form, seed) for split, planned in slots.items() if planned], refused


def _scan(
    reader: SourceReader, options: BuildOptions, batch: tuple[int, Sequence[SourceFile]]
) -> tuple[int, list[Scan]]:
    number, files = batch
    return number, scan_files(reader, files, options.per_sample)


def _finish(
    journal: Journal,
    tree: SourceTree,
    plans: Sequence[SplitPlan],
    shards: Shards,
    refused: Iterable[LedgerEntry],
    options: BuildOptions,
    clock: _Clock,
) -> BuildReport:
    """Write what the shards do not hold, and report."""
    records = shards.records()
    every = [record for of_split in records.values() for record in of_split]
    failures = [*refused, *(entry for record in every for entry in record.failures)]
    origins = np.concatenate([record.samples["origin"] for record in every])
    if np.all(origins == Origin.ABSENT):
        raise _nothing_left(journal, failures, tree)
    digests, samples = {}, {}
    for plan in plans:
        mine = records[plan.name]
        samples[plan.name] = sum(int(np.count_nonzero(r.samples["origin"] != Origin.ABSENT)) for r in mine)
        digests[plan.name] = write_split(journal.store, plan, mine, shards.form)
    failures = _in_listing_order(failures, tree)
    ledger = write_ledger(journal.store, failures)
    write_root(journal.store, digests, tree.classes, shards.form, options.to_dict(), f"freqcache {__version__}")
    journal.finish()
    of_files = np.concatenate([record.samples["source_bytes"] for record in every])
    bytes_in = int(of_files[origins != Origin.ABSENT].sum())
    clock.ends("finish")
    for entry in failures:
        _log.info("%s %s: %s", "kept" if entry.kept else "left out", entry.path, entry.reason)
    for stage, seconds in clock.stages.items():
        _log.info("%s took %.2f s", stage, seconds)
    return BuildReport(
        path=journal.store,
        splits=samples,
        n_classes=len(tree.classes),
        origins={o.name.lower(): int(np.count_nonzero(origins == o)) for o in Origin if o is not Origin.ABSENT},
        failures=tuple(failures),
        ledger=ledger,
        ignored=tree.ignored,
        empty_folders=tree.empty_folders,
        saturated=sum(record.saturated for record in every),
        bytes_in=bytes_in,
        bytes_out=sum(path.stat().st_size for path in journal.store.rglob("*") if path.is_file()),
        seconds=clock.total,
        stages=clock.stages,
        n_resumed=shards.n_resumed,
        n_read=shards.n_read,
    )


def _nothing_left(journal: Journal, failures: Sequence[LedgerEntry], tree: SourceTree) -> NoSamplesError:
    """Clear away a build in which every file failed, and return the error that says so."""
    failures = _in_listing_order(failures, tree)
    ledger = write_ledger(journal.store, failures)
    journal.discard()
    first = failures[0]
    return NoSamplesError(
        f"{tree.root}: none of its {tree.n_files} files could be used; the first: {first.path}: {first.reason} "
        f"(all of them: {ledger})"
    )


def _in_listing_order(failures: Iterable[LedgerEntry], tree: SourceTree) -> list[LedgerEntry]:
    order = {file.path: i for i, file in enumerate(file for files in tree.splits.values() for file in files)}
    return sorted(failures, key=lambda entry: order[entry.path])

"""Runs a build: list, scan headers, lay out, make shards, finish.

Headers are scanned and shards made by the workers of an engine (:mod:`freqcache.engines`). Whatever ends a build early
(an error, Ctrl-C, a killed worker, a full disk) leaves the finished shards and their records behind, and the same call
goes on from there.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

from freqcache import __version__
from freqcache.building.files import FileSource
from freqcache.building.finish import write_root, write_split
from freqcache.building.form import StoreForm
from freqcache.building.gathering import gather
from freqcache.building.headers import in_listing_order, plan_splits
from freqcache.building.journal import Journal, refuse_taken
from freqcache.building.ledger import write_ledger
from freqcache.building.making import Shards, make_shards, resumable
from freqcache.building.options import BuildOptions, BuildReport, LedgerEntry
from freqcache.building.placing import keep_apart, target_of
from freqcache.building.plan import SplitPlan, fingerprint
from freqcache.building.sharing import check_sharing, from_anywhere
from freqcache.engines import Engine, abandoned_early, engine_of
from freqcache.errors import NoSamplesError
from freqcache.interruption import GOES_ON, going_on
from freqcache.sources import Item, SourceTree, list_source
from freqcache.sources.items import spool_items
from freqcache.sources.remote_reading import confirm_unchanged
from freqcache.sources.spool import Spool, spooled
from freqcache.store.targets import Target
from freqcache_formats.layout import Origin

_WHY_NOT_INSIDE: Final = "a store there would be taken for a class"

_log = logging.getLogger("freqcache")


def build(
    source: str | os.PathLike[str] | Iterable[Item],
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    workers: int | None = None,
    engine: Engine | Executor | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> BuildReport:
    """Build a cache from images.

    Parameters
    ----------
    source : path or iterable of Item
        A folder of class folders, or of train/ and val/ (test/) with class folders; a manifest, WebDataset tars,
        Parquet files, or a dataset that ``save_to_disk`` wrote. Or items, which are consumed once and copied beside the
        store while the build lasts.
    out : path or URL
        The store to make. An unfinished build of the same files with the same options is finished.
    options : BuildOptions, optional
        What decides the bytes of the store.
    workers : int, optional
        Processes; all cores by default. 1 works in this process. The bytes do not depend on it.
    engine : Engine or Executor, optional
        What does the work instead of processes of this machine: a :class:`freqcache.engines.DaskEngine`, or any
        executor with the ``submit`` of concurrent.futures. Its workers must see the source and the store by the same
        paths.
    overwrite : bool
        Replace a store that stands at `out`.
    quiet : bool
        Show no progress.
    storage_options : mapping, optional
        For a URL: passed to fsspec. Where there is none, its configuration and its environment decide.

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
    clock = _Clock()
    if engine is not None:
        out = from_anywhere(out)
        source = from_anywhere(source) if isinstance(source, (str, os.PathLike)) else source
    target = target_of(out, storage_options)
    with engine_of(engine, workers, target) as ready, Spool(target.scratch) as spool:
        if isinstance(source, (str, os.PathLike)):
            tree = list_source(source, storage_options, scratch=target.scratch.parent)
            keep_apart(target, tree.root, _WHY_NOT_INSIDE)
        else:
            refuse_taken(target, overwrite=overwrite)  # before hours of spooling
            tree = spool_items(source, spool, quiet=quiet)
        clock.ends("listing")
        return _build(tree, target, options, spool, clock, ready, overwrite=overwrite, quiet=quiet)


def build_tree(
    tree: SourceTree,
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    workers: int | None = None,
    engine: Engine | Executor | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> BuildReport:
    """Build a cache from files that are listed already: all of a source, or some of it.

    Parameters
    ----------
    tree : SourceTree
        The files, and what reads them; with an engine, its root must be absolute.
    out, options, workers, engine, overwrite, quiet, storage_options
        As for :func:`build`.

    Raises
    ------
    NoSamplesError
        If none of the files could be used.
    BuildError
        If the build cannot start or finish; nothing half-made can be taken for a store.
    """
    clock = _Clock()
    target = target_of(out if engine is None else from_anywhere(out), storage_options)
    keep_apart(target, tree.root, _WHY_NOT_INSIDE)
    with engine_of(engine, workers, target) as ready, Spool(target.scratch) as spool:
        return _build(tree, target, options or BuildOptions(), spool, clock, ready, overwrite=overwrite, quiet=quiet)


def _build(
    tree: SourceTree,
    out: Target,
    options: BuildOptions,
    spool: Spool,
    clock: _Clock,
    engine: Engine,
    *,
    overwrite: bool,
    quiet: bool,
) -> BuildReport:
    identity = fingerprint(tree, options)
    with (
        going_on(GOES_ON),
        Journal(out, identity, overwrite=overwrite) as journal,
        abandoned_early(engine),
        resumable(out),
    ):
        listed = tree
        if tree.sequential:
            tree = spooled(tree, spool, quiet=quiet)
        check_sharing(engine, journal.store, identity, tree)
        form, scratch = StoreForm.of_build(options), spool.path.parent
        plans, refused = plan_splits(tree, options, form, engine, scratch=scratch, quiet=quiet)
        if not plans:
            raise _nothing_left(journal, refused, tree)
        clock.ends("headers")
        samples = FileSource(reader=tree.reader, options=options)
        shards = make_shards(journal, engine, plans, samples, form, "building", quiet=quiet)
        confirm_unchanged(listed)
        clock.ends("shards")
        return _finish(journal, tree, plans, shards, refused, options, clock, scratch)


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


def _finish(
    journal: Journal,
    tree: SourceTree,
    plans: Sequence[SplitPlan],
    shards: Shards,
    refused: Iterable[LedgerEntry],
    options: BuildOptions,
    clock: _Clock,
    scratch: Path,
) -> BuildReport:
    """Write what the shards do not hold, and report."""
    gathered = {plan.name: gather(shards.records(plan), shards.form, scratch) for plan in plans}
    every = gathered.values()
    failures = [*refused, *(entry for split in every for entry in split.failures)]
    if not any(split.n_samples for split in every):
        raise _nothing_left(journal, failures, tree)
    journal.confirm(shards.layout)
    digests = {plan.name: write_split(journal.store, plan, gathered[plan.name], shards.form) for plan in plans}
    failures = in_listing_order(failures, tree)
    ledger = write_ledger(journal.store, failures)
    journal.confirm(shards.layout)
    write_root(journal.store, digests, tree.classes, shards.form, options.to_dict(), f"freqcache {__version__}")
    journal.finish()
    clock.ends("finish")
    for entry in failures:
        _log.info("%s %s: %s", "kept" if entry.kept else "left out", entry.path, entry.reason)
    for stage, seconds in clock.stages.items():
        _log.info("%s took %.2f s", stage, seconds)
    return BuildReport(
        path=journal.store.location,
        splits={name: split.n_samples for name, split in gathered.items()},
        n_classes=len(tree.classes),
        origins={
            o.name.lower(): sum(int(split.origins[o]) for split in every) for o in Origin if o is not Origin.ABSENT
        },
        failures=tuple(failures),
        ledger=ledger,
        ignored=tree.ignored,
        empty_folders=tree.empty_folders,
        saturated=sum(split.saturated for split in every),
        bytes_in=sum(split.bytes_in for split in every),
        bytes_out=sum(journal.store.sizes().values()),
        seconds=clock.total,
        stages=clock.stages,
        n_resumed=shards.n_resumed,
        n_read=shards.n_read,
    )


def _nothing_left(journal: Journal, failures: Sequence[LedgerEntry], tree: SourceTree) -> NoSamplesError:
    """Clear away a build in which every file failed, and return the error that says so."""
    failures = in_listing_order(failures, tree)
    ledger = write_ledger(journal.store, failures)
    journal.discard()
    first = failures[0]
    return NoSamplesError(
        f"{tree.root}: none of its {tree.n_files} files could be used; the first: {first.path}: {first.reason} "
        f"(all of them: {ledger})"
    )

"""Runs a build: list, scan headers, lay out, make shards, finish.

The shards are made by worker processes, or in this process with one worker. Whatever ends a build early (an error,
Ctrl-C, a killed worker, a full disk) leaves the finished shards and their records behind, and the same call goes on
from there.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from freqcache import __version__
from freqcache.building.finish import write_root, write_split
from freqcache.building.journal import Journal
from freqcache.building.options import BuildOptions, BuildReport, LedgerEntry
from freqcache.building.plan import Scan, Slot, SplitPlan, fingerprint, layout, plan_split, scan_files
from freqcache.building.shard import ShardRecord, ShardTask, build_shard, is_done
from freqcache.errors import BuildError, NoSamplesError
from freqcache.interruption import going_on
from freqcache.progress import progress
from freqcache.sources import SourceReader, SourceTree, list_source
from freqcache.store.durable import write_durably
from freqcache.workers import Pool, WorkerDiedError
from freqcache_formats.layout import Origin

_SCAN_BATCH: Final = 64

_log = logging.getLogger("freqcache")


def build(
    source: str | Path,
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> BuildReport:
    """Build a cache from a folder of images.

    Parameters
    ----------
    source : path
        A folder of class folders, or of train/ and val/ (test/) with class folders.
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
    began = time.perf_counter()
    tree = list_source(source)
    listing = time.perf_counter() - began
    report = build_tree(tree, out, options, workers=workers, overwrite=overwrite, quiet=quiet)
    return replace(report, seconds=listing + report.seconds, stages={"listing": listing} | report.stages)


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
    options = options or BuildOptions()
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        msg = f"workers: expected at least 1, found {workers}"
        raise BuildError(msg)
    clock = _Clock()
    out = _place(out, tree.root)
    with (
        going_on("the same command goes on from here"),
        Journal(out, fingerprint(tree, options), overwrite=overwrite) as journal,
        Pool(workers) as pool,
    ):
        try:
            plans, refused = _plan(tree, options, pool, quiet)
            if not plans:
                raise _nothing_left(journal, refused, tree)
            journal.keep_shards_of(layout(plans))
            tasks = [task for plan in plans for task in _tasks(tree.reader, journal, plan, options)]
            done = {task.record for task in tasks if is_done(task)}
            todo = [task for task in tasks if task.record not in done]
            clock.ends("headers")
            with progress(sum(task.n_slots for task in todo), "building", quiet=quiet) as bar:
                for slots in pool.run(build_shard, todo):
                    bar.update(slots)
            clock.ends("shards")
            return _finish(journal, tree, plans, tasks, refused, options, (clock, len(done), todo))
        except WorkerDiedError as error:
            msg = f"{out}: a worker process died (killed, or out of memory); the same command goes on from here"
            raise BuildError(msg) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            msg = f"{out}: {error.strerror or error}{where}; the same command goes on from here"
            raise BuildError(msg) from error


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


def _place(out: str | Path, source: Path) -> Path:
    """Return where the store will stand, after checking that this does not touch its source."""
    if not str(out):
        msg = "the store is an empty name; expected a path"
        raise BuildError(msg)
    out = Path(out)
    try:
        resolved, root = out.resolve(), source.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        msg = f"{out}: cannot be resolved: {error}"
        raise BuildError(msg) from error
    if root.is_relative_to(resolved):
        msg = f"{out}: the store would replace its own source {source}"
        raise BuildError(msg)
    if resolved.is_relative_to(root):
        msg = f"{out}: lies inside its own source {source}; a store there would be taken for a class"
        raise BuildError(msg)
    return resolved if out.is_symlink() or not out.name else out


def _plan(
    tree: SourceTree, options: BuildOptions, pool: Pool, quiet: bool
) -> tuple[list[SplitPlan], list[LedgerEntry]]:
    """Read every header; return the plans of the splits, and the files refused already."""
    files = [(split, file) for split, entries in tree.splits.items() for file in entries]
    batches = [range(start, min(start + _SCAN_BATCH, len(files))) for start in range(0, len(files), _SCAN_BATCH)]
    paths = [[files[i][1].path for i in batch] for batch in batches]
    scans: dict[int, Scan] = {}
    with progress(len(files), "reading headers", quiet=quiet) as bar:
        numbered = list(enumerate(paths))
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
            slots[split].append(Slot(file=file, blocks=scan))
    return [plan_split(split, entries, options) for split, entries in slots.items() if entries], refused


def _scan(reader: SourceReader, options: BuildOptions, batch: tuple[int, Sequence[str]]) -> tuple[int, list[Scan]]:
    number, paths = batch
    return number, scan_files(reader, paths, options.per_sample)


def _tasks(reader: SourceReader, journal: Journal, plan: SplitPlan, options: BuildOptions) -> Iterator[ShardTask]:
    for number in range(plan.n_shards):
        yield ShardTask(
            reader=reader,
            store=journal.store,
            record=journal.record(plan.name, number),
            split=plan.name,
            number=number,
            groups=plan.shard_groups(number),
            arrays=plan.arrays,
            options=options,
        )


def _finish(
    journal: Journal,
    tree: SourceTree,
    plans: Sequence[SplitPlan],
    tasks: Sequence[ShardTask],
    refused: Iterable[LedgerEntry],
    options: BuildOptions,
    run: tuple[_Clock, int, Sequence[ShardTask]],
) -> BuildReport:
    """Write what the shards do not hold, and report."""
    clock, n_resumed, todo = run
    records = {task.record: ShardRecord.read(task.record) for task in tasks}
    failures = [*refused, *(entry for record in records.values() for entry in record.failures)]
    origins = np.concatenate([record.samples["origin"] for record in records.values()])
    if np.all(origins == Origin.ABSENT):
        raise _nothing_left(journal, failures, tree)
    digests, samples = {}, {}
    for plan in plans:
        mine = [records[task.record] for task in tasks if task.split == plan.name]
        samples[plan.name] = sum(int(np.count_nonzero(r.samples["origin"] != Origin.ABSENT)) for r in mine)
        digests[plan.name] = write_split(journal.store, plan, mine, options)
    failures = _in_listing_order(failures, tree)
    ledger = _write_ledger(journal.store, failures)
    write_root(journal.store, digests, tree.classes, options, f"freqcache {__version__}")
    journal.finish()
    bytes_in = sum(int(record.samples["source_bytes"].sum()) for record in records.values())
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
        saturated=sum(record.saturated for record in records.values()),
        bytes_in=bytes_in,
        bytes_out=sum(path.stat().st_size for path in journal.store.rglob("*") if path.is_file()),
        seconds=clock.total,
        stages=clock.stages,
        n_resumed=n_resumed,
        n_read=sum(task.n_slots for task in todo),
    )


def _nothing_left(journal: Journal, failures: Sequence[LedgerEntry], tree: SourceTree) -> NoSamplesError:
    """Clear away a build in which every file failed, and return the error that says so."""
    failures = _in_listing_order(failures, tree)
    ledger = _write_ledger(journal.store, failures)
    journal.discard()
    first = failures[0]
    return NoSamplesError(
        f"{tree.root}: none of its {tree.n_files} files could be used; the first: {first.path}: {first.reason} "
        f"(all of them: {ledger})"
    )


def _in_listing_order(failures: Iterable[LedgerEntry], tree: SourceTree) -> list[LedgerEntry]:
    order = {file.path: i for i, file in enumerate(file for files in tree.splits.values() for file in files)}
    return sorted(failures, key=lambda entry: order[entry.path])


def _write_ledger(out: Path, entries: Sequence[LedgerEntry]) -> Path | None:
    """Write the list of failed files beside the store, one JSON object a line; remove an older one."""
    path = out.with_name(out.name + ".ledger.jsonl")
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):  # of a run killed just here
        leftover.unlink()
    if not entries:
        path.unlink(missing_ok=True)
        return None
    lines = [json.dumps(entry.to_dict(), ensure_ascii=True) for entry in entries]
    write_durably(path, ("\n".join(lines) + "\n").encode())
    return path

"""The run of a rewrite: lay out, make shards, finish, compare, and only then write the root group.

Shards, journal, workers and resuming are those of a build: see :mod:`freqcache.building.run`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqcache import __version__
from freqcache.building.finish import write_root, write_split
from freqcache.building.form import StoreForm
from freqcache.building.gathering import gather
from freqcache.building.journal import Journal
from freqcache.building.making import Shards, make_shards, resumable
from freqcache.building.placing import keep_apart, target_of
from freqcache.building.plan import SplitPlan, plan_split
from freqcache.building.slots import Slot, chunks_of, ordered
from freqcache.engines import check_workers
from freqcache.errors import BuildError
from freqcache.interruption import GOES_ON, going_on
from freqcache.progress import progress
from freqcache.rewriting.comparing import CompareTask, compare_shard
from freqcache.rewriting.inputs import Input
from freqcache.rewriting.report import RewriteReport
from freqcache.rewriting.source import StoredSource, kept_open
from freqcache.sources import SPLITS
from freqcache.store.targets import Target
from freqcache.workers import Pool


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """What is to be made.

    Attributes
    ----------
    inputs : sequence of Input
        The stores that samples come from, by their number.
    form : StoreForm
        Of the new store.
    slots : mapping of str to list of Slot
        By split, in order.
    classes : tuple of str
        By label.
    options : dict
        What the new store records.
    seed : int or None
        Shuffle by it; None keeps the order.
    notes : tuple of str
        For the report.
    """

    inputs: Sequence[Input]
    form: StoreForm
    slots: Mapping[str, list[Slot]]
    classes: tuple[str, ...]
    options: Mapping[str, Any]
    seed: int | None = None
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return a digest of everything that decides the store."""
        digest = hashlib.blake2b(digest_size=16)
        ids = [source.store.id for source in self.inputs]
        form = [self.form.channels.indices.tolist(), self.form.level]
        digest.update(json.dumps(["rewrite", ids, form, self.classes, self.options, self.seed]).encode())
        for split, slots in self.slots.items():
            digest.update(f"\n{split}\n".encode())
            for slot in slots:
                digest.update(f"{slot.stored} {slot.label}\n".encode())
        return digest.hexdigest()


def run_rewrite(
    rewrite: Rewrite, out: str | Path, *, workers: int | None, overwrite: bool, quiet: bool
) -> RewriteReport:
    """Make the new store.

    Raises
    ------
    BuildError
        If it cannot be begun or finished; nothing half-made can be taken for a store.
    StoreError
        If an input is damaged.
    """
    began = time.perf_counter()
    target = target_of(out)
    workers = check_workers(workers, target)
    for source in rewrite.inputs:
        keep_apart(target, source.where, "stores do not hold stores")
    plans = list(_plans(rewrite, target.scratch.parent))
    samples = StoredSource(
        locations=tuple(source.where for source in rewrite.inputs),
        ids=tuple(source.store.id for source in rewrite.inputs),
        run=os.urandom(16).hex(),
    )
    with (
        going_on(GOES_ON),
        Journal(target, rewrite.fingerprint(), overwrite=overwrite, splits=tuple(rewrite.slots)) as journal,
        Pool(workers) as pool,
        resumable(target),
        kept_open(samples.run),
    ):
        shards = make_shards(journal, pool, plans, samples, rewrite.form, "rewriting", quiet=quiet)
        digests, bytes_out = {}, 0
        for plan in plans:
            gathered = gather(shards.records(plan), rewrite.form, target.scratch.parent)
            bytes_out += gathered.shard_bytes
            journal.confirm(shards.layout)
            digests[plan.name] = write_split(journal.store, plan, gathered, rewrite.form)
        compared = _compare(shards, plans, samples, rewrite.classes, pool, quiet)
        if compared != sum(plan.n_slots for plan in plans):
            msg = f"{out}: {compared} samples were compared, expected {sum(plan.n_slots for plan in plans)}"
            raise BuildError(msg)
        journal.confirm(shards.layout)
        made = write_root(
            journal.store, digests, rewrite.classes, rewrite.form, rewrite.options, f"freqcache {__version__}"
        )
        journal.finish()
    return _report(rewrite, plans, shards, (target, made), (compared, bytes_out, time.perf_counter() - began))


def _plans(rewrite: Rewrite, scratch: Path) -> Iterator[SplitPlan]:
    for name, slots in rewrite.slots.items():
        yield plan_split(name, ordered(chunks_of(slots), len(slots), rewrite.seed, scratch), rewrite.form)


def _compare(
    shards: Shards,
    plans: Sequence[SplitPlan],
    source: StoredSource,
    classes: tuple[str, ...],
    pool: Pool,
    quiet: bool,
) -> int:
    """Compare every shard with its sources; return the number of samples."""
    tasks = _compare_tasks(shards, plans, source, classes)
    compared = 0
    with progress(sum(plan.n_slots for plan in plans), "comparing", quiet=quiet) as bar:
        for count in pool.run(compare_shard, tasks):
            compared += count
            bar.update(count)
    return compared


def _compare_tasks(
    shards: Shards, plans: Sequence[SplitPlan], source: StoredSource, classes: tuple[str, ...]
) -> Iterator[CompareTask]:
    for plan in plans:
        first = 0
        for task in shards.tasks(plan):
            yield CompareTask(shard=task, source=source, first=first, classes=classes)
            first += task.n_slots


def _report(
    rewrite: Rewrite,
    plans: Sequence[SplitPlan],
    shards: Shards,
    made: tuple[Target, str],
    numbers: tuple[int, int, float],
) -> RewriteReport:
    compared, bytes_out, seconds = numbers
    split_names = [(source, name) for source in rewrite.inputs for name in rewrite.slots if name in source.store.splits]
    absent = sum(s.split(n).metadata.slots - s.split(n).metadata.samples for s, n in split_names)
    notes = list(rewrite.notes)
    hot = [source.location for source in rewrite.inputs if source.has_hot_copy]
    if hot:
        notes.append(f"the hot copy of {', '.join(hot)} is not carried over; freqcache hot makes one of the new store")
    return RewriteReport(
        path=made[0].location,
        id=made[1],
        splits={plan.name: plan.n_slots for plan in plans},
        classes=rewrite.classes,
        channels=rewrite.form.channels,
        n_compared=compared,
        n_absent=absent,
        bytes_in=sum(source.coefficient_bytes(name) for source, name in split_names),
        bytes_out=bytes_out,
        seconds=seconds,
        n_resumed=shards.n_resumed,
        n_written=shards.n_read,
        notes=tuple(notes),
    )


def splits_in_order(names: set[str]) -> list[str]:
    """Return names of splits in the order in which builds have them, others after them by name."""
    return [*(name for name in SPLITS if name in names), *sorted(names - set(SPLITS))]

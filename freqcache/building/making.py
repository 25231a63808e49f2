"""Makes all shards of a store, whatever its samples come from: what builds and rewrites share.

Shards are made by the workers of an engine (:mod:`freqcache.engines`), and each writes its own straight to the store.
Those that an earlier run finished are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from freqcache.building.form import StoreForm
from freqcache.building.journal import Journal
from freqcache.building.plan import SplitPlan, layout
from freqcache.building.shard import SampleSource, ShardRecord, ShardTask, build_shard, is_done
from freqcache.engines import Engine
from freqcache.errors import BuildError
from freqcache.interruption import GOES_ON
from freqcache.progress import progress
from freqcache.store.targets import Target
from freqcache.workers import WorkerDiedError


@contextmanager
def resumable(out: Target) -> Iterator[None]:
    """Turn what ends a build early into a BuildError that says so."""
    try:
        yield
    except WorkerDiedError as error:
        msg = f"{out}: {error}; {GOES_ON}"
        raise BuildError(msg) from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        msg = f"{out}: {error.strerror or error}{where}; {GOES_ON}"
        raise BuildError(msg) from error


@dataclass(frozen=True, kw_only=True)
class Shards:
    """The shards of all splits of a store, finished.

    Attributes
    ----------
    form : StoreForm
        What their arrays are like.
    tasks : dict of str to list of ShardTask
        By split, in order.
    n_resumed : int
        Those that an earlier run had finished.
    n_read : int
        Slots of those that this run made.
    """

    form: StoreForm
    tasks: Mapping[str, Sequence[ShardTask]]
    n_resumed: int
    n_read: int

    def records(self) -> dict[str, list[ShardRecord]]:
        """Read their records: by split, in order."""
        return {
            split: [ShardRecord.read(task.store, task.record) for task in tasks] for split, tasks in self.tasks.items()
        }


def make_shards(
    journal: Journal,
    engine: Engine,
    plans: Sequence[SplitPlan],
    source: SampleSource,
    form: StoreForm,
    title: str,
    *,
    quiet: bool,
) -> Shards:
    """Make the shards of all splits, but those that an earlier run with the same layout finished."""
    digest = layout(plans)
    journal.keep_shards_of(digest)
    tasks = {plan.name: list(_tasks(source, journal, plan, form, digest)) for plan in plans}
    every = [task for of_split in tasks.values() for task in of_split]
    records = journal.records()
    todo = [task for task in every if task.record not in records or not is_done(task)]
    n_slots = sum(task.n_slots for task in todo)
    with progress(n_slots, title, quiet=quiet) as bar:
        for slots in engine.run(build_shard, todo):
            bar.update(slots)
    return Shards(form=form, tasks=tasks, n_resumed=len(every) - len(todo), n_read=n_slots)


def _tasks(
    source: SampleSource, journal: Journal, plan: SplitPlan, form: StoreForm, layout: str
) -> Iterator[ShardTask]:
    for number in range(plan.n_shards):
        yield ShardTask(
            source=source,
            store=journal.store,
            record=journal.record(plan.name, number),
            split=plan.name,
            number=number,
            groups=plan.shard_groups(number),
            arrays=plan.arrays,
            form=form,
            layout=layout,
        )

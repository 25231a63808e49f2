"""Makes all shards of a store, whatever its samples come from: what builds and rewrites share.

Shards are made by the workers of an engine (:mod:`freqcache.engines`), and each writes its own straight to the store.
Those that an earlier run finished are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from freqcache.ahead import ahead
from freqcache.building.form import StoreForm
from freqcache.building.journal import Journal
from freqcache.building.plan import SplitPlan, layout
from freqcache.building.records import ShardRecord
from freqcache.building.shard import SampleSource, ShardTask, build_shard, is_done
from freqcache.engines import Engine
from freqcache.errors import BuildError
from freqcache.interruption import GOES_ON
from freqcache.progress import Progress, progress
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


@dataclass(kw_only=True, eq=False)
class Shards:
    """The shards of a store: what describes them is made as it is asked for.

    Attributes
    ----------
    journal : Journal
        Of the store.
    source : SampleSource
        Of the samples.
    form : StoreForm
        What the arrays are like.
    layout : str
        From :func:`freqcache.building.plan.layout`.
    n_resumed : int
        Shards that an earlier run had finished.
    n_read : int
        Slots of those that this run made.
    """

    journal: Journal
    source: SampleSource
    form: StoreForm
    layout: str
    n_resumed: int = 0
    n_read: int = 0

    def tasks(self, plan: SplitPlan) -> Iterator[ShardTask]:
        """Yield the shards of a split, in order."""
        return (self.task(plan, number) for number in range(plan.n_shards))

    def task(self, plan: SplitPlan, number: int) -> ShardTask:
        """Return one shard of a split."""
        return replace(self._outline(plan, number), groups=plan.shard_groups(number))

    def records(self, plan: SplitPlan) -> Iterator[ShardRecord]:
        """Read the records of a split's shards, in order."""
        store = self.journal.store
        return ahead(
            lambda number: ShardRecord.read(store, self.journal.record(plan.name, number)),
            range(plan.n_shards),
            store.at_once,
        )

    def unfinished(self, plan: SplitPlan, bar: Progress) -> Iterator[ShardTask]:
        """Yield the shards of a split that have to be made; the others are counted."""
        recorded = self.journal.records()

        def finished(number: int) -> bool:
            outline = self._outline(plan, number)
            return outline.record in recorded and is_done(outline)

        for number, done in enumerate(ahead(finished, range(plan.n_shards), self.journal.store.at_once)):
            if done:
                self.n_resumed += 1
                starts = plan.shard_starts(number)
                bar.update(int(starts[-1] - starts[0]))
            else:
                yield self.task(plan, number)

    def _outline(self, plan: SplitPlan, number: int) -> ShardTask:
        """Return a shard without its slots, which take long to make where there are many shards."""
        return ShardTask(
            source=self.source,
            store=self.journal.store,
            record=self.journal.record(plan.name, number),
            split=plan.name,
            number=number,
            groups=(),
            arrays=plan.arrays,
            form=self.form,
            layout=self.layout,
        )


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
    shards = Shards(journal=journal, source=source, form=form, layout=digest)
    with progress(sum(plan.n_slots for plan in plans), title, quiet=quiet) as bar:
        todo = (task for plan in plans for task in shards.unfinished(plan, bar))
        for slots in engine.run(build_shard, todo):
            shards.n_read += slots
            bar.update(slots)
    return shards

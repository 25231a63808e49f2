"""Reads a new store again and compares it with the stores that it was made of, sample by sample.

Through the ordinary reader and before the root group is written: what differs never becomes a store. A shard that
differs loses its record, so that the next run makes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freqcache.building.shard import ShardTask
from freqcache.errors import BuildError, FormatError, StoreError
from freqcache.rewriting.source import StoredSource, equal_values, open_once, windows
from freqcache.store import FixedSplit, NativeSplit


@dataclass(frozen=True, kw_only=True)
class CompareTask:
    """One shard to compare.

    Attributes
    ----------
    shard : ShardTask
        That made it.
    source : StoredSource
        Of its samples.
    first : int
        Its first slot.
    classes : tuple of str
        Of the new store.
    """

    shard: ShardTask
    source: StoredSource
    first: int
    classes: tuple[str, ...]


def compare_shard(task: CompareTask) -> int:
    """Compare every sample of a shard; return how many there are.

    Raises
    ------
    BuildError
        If one reads otherwise than its source does.
    StoreError
        If a source cannot be read.
    """
    shard = task.shard
    slot = task.first
    try:
        made = open_once(task.source.run, str(shard.store), shard.split, lambda: _made(task))
    except (StoreError, FormatError) as error:
        raise _differs(task, str(error)) from error
    for window in windows(shard.groups, shard.form):
        slots = range(slot, slot + len(window))
        try:
            found = list(made.planes(slots, shard.form.channels))
        except StoreError as error:
            raise _differs(task, str(error)) from error
        samples = task.source.samples(window, shard)
        for slot, planned, planes, (source, number, expected) in zip(slots, window, found, samples, strict=True):
            wrong = equal_values(made, slot, source, number)
            if made.values["label"][slot] != planned.label:
                wrong = "label"
            if made.split.source_path(slot) != planned.path:
                wrong = "source_path"
            for name, values in expected.items():
                if planes[name].dtype != values.dtype or not np.array_equal(planes[name], values):
                    wrong = name
            if wrong is not None:
                raise _differs(
                    task, f"slot {slot} of {shard.split}, {planned.path}, differs from its source in {wrong}"
                )
        slot = slots.stop
    return slot - task.first


def _made(task: CompareTask) -> FixedSplit | NativeSplit:
    shard = task.shard
    form = FixedSplit if shard.form.grid is not None else NativeSplit
    return form(shard.store.place, shard.split, task.classes, shard.form.channels)


def _differs(task: CompareTask, reason: str) -> BuildError:
    task.shard.store.remove(task.shard.record)
    return BuildError(
        f"{task.shard.store}: {reason}; the store is not finished, the same command writes the shard anew"
    )

"""Samples from stores, for the shards of another one.

Row groups of the new store are taken several at a time, as many as a bound on memory allows, and each chunk of the old
ones is decoded once for all of them. What is read are the shards, never a hot copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.building.form import StoreForm
from freqcache.building.shard import ShardTask, SlotContent
from freqcache.building.slots import Slot
from freqcache.errors import StoreError
from freqcache.portions import portions
from freqcache.store import FixedSplit, NativeSplit, open_store
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, NATIVE_SAMPLE_ARRAYS, SAMPLE_ARRAYS
from freqcache_formats.mask import ChannelMask

_WINDOW: Final = 64 << 20
"""Bytes of coefficients that are held at a time, in one process; a single row group may take more."""

Planes = dict[str, npt.NDArray[Any]]
"""A sample's stored channels by coefficient array, (channels, block_rows, block_cols) each."""


class OpenedSplit:
    """A split and its per-sample arrays, read once."""

    def __init__(self, split: FixedSplit | NativeSplit) -> None:
        self.split = split
        native = isinstance(split, NativeSplit)
        names = [*SAMPLE_ARRAYS, *(NATIVE_SAMPLE_ARRAYS if native else {})]
        self.values = {name: split.values(name) for name in names if name != "offset"}

    def planes(self, slots: Sequence[int], mask: ChannelMask) -> Iterator[Planes]:
        """Yield the masked coefficients of some slots; they are views of one piece of memory."""
        if isinstance(self.split, FixedSplit):
            yield from ({COEFFICIENTS: sample} for sample in self.split.read(slots, mask))
            return
        names = [name for name, wanted in zip(COLUMNS, mask.frequencies, strict=True) if len(wanted)]
        for sample in self.split.read(slots, mask):
            yield {name: sample.coefficients[COLUMNS.index(name)] for name in names}


_opened: dict[tuple[str, ...], OpenedSplit] = {}


def open_once(run: str, name: str, split: str, make: Callable[[], FixedSplit | NativeSplit]) -> OpenedSplit:
    """Return a split that this process opens once in a run: a worker makes many shards of it."""
    if any(key[0] != run for key in _opened):
        _opened.clear()
    key = (run, name, split)
    if key not in _opened:
        _opened[key] = OpenedSplit(make())
    return _opened[key]


@contextmanager
def kept_open(run: str) -> Iterator[None]:
    """Let go of what this process opened in a run, when it ends; workers let go of theirs with their lives."""
    try:
        yield
    finally:
        for key in [key for key in _opened if key[0] == run]:
            del _opened[key]


def windows(groups: Sequence[Sequence[Slot]], form: StoreForm) -> Iterator[list[Slot]]:
    """Yield the slots of row groups, as many groups at a time as fit the bound."""
    frequencies = [len(of_component) for of_component in form.channels.frequencies]

    def bytes_of(slots: Sequence[Slot]) -> int:
        return sum(_bytes(slot, form, frequencies) for slot in slots)

    for window in portions(groups, bytes_of, _WINDOW):
        yield [slot for slots in window for slot in slots]


def _bytes(slot: Slot, form: StoreForm, frequencies: Sequence[int]) -> int:
    """Return the bytes that a sample takes in memory, `frequencies` of each component."""
    if form.grid is not None:
        return len(form.channels) * form.grid[0] * form.grid[1] * form.dtype.itemsize
    return sum(n * k for n, k in zip(slot.blocks, frequencies, strict=True)) * form.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class StoredSource:
    """Takes samples from stores: a :class:`freqcache.building.shard.SampleSource`.

    Attributes
    ----------
    locations, ids : tuple of str
        Of the stores, by their number.
    run : str
        Of this call: what an earlier one opened is opened anew.
    """

    locations: tuple[str, ...]
    ids: tuple[str, ...]
    run: str

    def contents(self, task: ShardTask) -> Iterator[SlotContent]:
        """Yield what goes into each slot of a shard.

        Raises
        ------
        StoreError
            If a chunk is missing or damaged, or another store has taken the place of one.
        """
        frequencies = task.form.channels.frequencies
        for window in windows(task.groups, task.form):
            for slot, (opened, number, planes) in zip(window, self.samples(window, task), strict=True):
                values = {name: array[number] for name, array in opened.values.items()} | {"label": slot.label}
                steps = _steps(values, task.form, frequencies)
                yield SlotContent(parts={name: (plane, steps[name]) for name, plane in planes.items()}, values=values)

    def samples(self, window: Sequence[Slot], task: ShardTask) -> Iterator[tuple[OpenedSplit, int, Planes]]:
        """Yield where each of some slots comes from, its slot there, and its coefficients."""
        places = [_stored(slot) for slot in window]
        read: dict[int, tuple[OpenedSplit, Iterator[Planes]]] = {}
        for store in sorted({store for store, _ in places}):
            opened = self.open(store, task.split)
            wanted = [number for where, number in places if where == store]
            read[store] = opened, opened.planes(wanted, task.form.channels)
        for store, number in places:
            opened, planes = read[store]
            yield opened, number, next(planes)

    def open(self, store: int, split: str) -> OpenedSplit:
        """Return a split of a store."""

        def make() -> FixedSplit | NativeSplit:
            found = open_store(self.locations[store], hot=False)
            if found.id != self.ids[store]:
                msg = f"{found.location}: replaced by the store {found.id} while it was in use"
                raise StoreError(msg)
            return found[split]

        return open_once(self.run, self.locations[store], split, make)


def _stored(slot: Slot) -> tuple[int, int]:
    if slot.stored is None:
        msg = f"{slot.path}: is not of a store"
        raise ValueError(msg)
    return slot.stored


def _steps(
    values: dict[str, Any], form: StoreForm, frequencies: Sequence[npt.NDArray[np.intp]]
) -> dict[str, npt.NDArray[Any]]:
    """Return the steps of the stored channels, by coefficient array."""
    if form.steps is not None:
        return {COEFFICIENTS: form.steps}
    wanted = zip(COLUMNS, values["quantization"], frequencies, strict=True)
    return {name: table[of_component] for name, table, of_component in wanted}


def equal_values(found: OpenedSplit, slot: int, expected: OpenedSplit, number: int) -> str | None:
    """Return the name of a per-sample array in which two samples differ, labels and places apart, or None."""
    for name, values in expected.values.items():
        if name != "label" and not np.array_equal(found.values[name][slot], values[number]):
            return name
    return None

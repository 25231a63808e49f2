"""Which samples are exported: by split, class, slot or source path, and how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError
from freqcache.store import Split, Store


def select_slots(
    store: Store,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    samples: Sequence[int | str] | None = None,
    limit: int | None = None,
) -> dict[str, npt.NDArray[np.intp]]:
    """Return the slots to export, increasing, of each split.

    Parameters
    ----------
    store : Store
        The cache.
    split : str, optional
        Only this one.
    classes : sequence of str, optional
        Only samples of these classes.
    samples : sequence of int or str, optional
        Only these: slots of the one split, or source paths.
    limit : int, optional
        At most so many, the first ones.

    Raises
    ------
    ExportError
        For a class, slot or path that there is none of, or if nothing is left.
    StoreError
        For a split that there is none of.
    """
    names = store.splits if split is None else (split,)
    splits = {name: store[name] for name in names}
    chosen = {name: one.slots for name, one in splits.items()}
    if samples is not None:
        chosen = _sampled(store, splits, samples)
    if classes is not None:
        unknown = [name for name in classes if name not in store.classes]
        if unknown:
            msg = f"{store.location}: no class {unknown[0]!r}; it has {', '.join(store.classes)}"
            raise ExportError(msg)
        labels = [store.classes.index(name) for name in classes]
        chosen = {name: slots[np.isin(splits[name].labels[slots], labels)] for name, slots in chosen.items()}
    if limit is not None:
        left = limit
        for name, slots in chosen.items():
            chosen[name] = slots[:left]
            left -= len(chosen[name])
    if not any(map(len, chosen.values())):
        msg = f"{store.location}: no sample is left to export"
        raise ExportError(msg)
    return {name: slots for name, slots in chosen.items() if len(slots)}


def find_slot(store: Store, sample: int | str, split: str | None = None) -> tuple[str, int]:
    """Return the split and slot of one sample.

    Raises
    ------
    ExportError
        If there is no such sample, or several splits have one.
    StoreError
        For a split that there is none of.
    """
    names = store.splits if split is None else (split,)
    found = _sampled(store, {name: store[name] for name in names}, [sample])
    places = [(name, int(slot)) for name, slots in found.items() for slot in slots]
    if len(places) > 1:
        msg = f"{store.location}: {sample!r} is in the splits {', '.join(name for name, _ in places)}: say which"
        raise ExportError(msg)
    return places[0]


def _sampled(
    store: Store, splits: Mapping[str, Split], samples: Sequence[int | str]
) -> dict[str, npt.NDArray[np.intp]]:
    found: dict[str, set[int]] = {name: set() for name in splits}
    numbers = {sample for sample in samples if not isinstance(sample, str)}
    if numbers and len(splits) > 1:
        msg = f"{store.location}: slots are numbered in each split ({', '.join(splits)}): say which"
        raise ExportError(msg)
    for name, split in splits.items():
        for slot in sorted(numbers):
            _check_slot(split, slot)
            found[name].add(slot)
    paths = {sample for sample in samples if isinstance(sample, str)}
    missing = set(paths)
    absent: dict[str, str] = {}
    for name, split in splits.items() if paths else ():
        for slot in range(split.metadata.slots):
            path = split.source_path(slot)
            if path in paths:
                missing.discard(path)
                if split.labels[slot] < 0:
                    absent[path] = name
                else:
                    found[name].add(slot)
    if missing:
        path = min(missing)
        also = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        msg = f"{store.location}: no sample of the source path {path!r}{also}"
        raise ExportError(msg)
    if absent:
        path = min(absent)
        msg = f"{store.location}: {path!r} has no sample: the file failed during the build"
        raise ExportError(msg)
    return {name: np.array(sorted(slots), dtype=np.intp) for name, slots in found.items()}


def _check_slot(split: Split, slot: int) -> None:
    if not 0 <= slot < split.metadata.slots:
        msg = f"{split.place}: there is no slot {slot}; there are 0 to {split.metadata.slots - 1}"
        raise ExportError(msg)
    if split.labels[slot] < 0:
        msg = f"{split.place}: slot {slot} is absent: {split.source_path(slot)} failed during the build"
        raise ExportError(msg)

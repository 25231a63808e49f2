"""Which samples are exported: by split, by class, by what they are called, and how many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError
from freqcache.store import Store
from freqcache.store.finding import Named, find_slots


def select_slots(
    store: Store,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    samples: Sequence[Named] | None = None,
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
    samples : sequence of int, range or str, optional
        Only these: see :mod:`freqcache.store.finding`.
    limit : int, optional
        At most so many, the first ones.

    Raises
    ------
    ExportError
        For a class that there is none of, or if nothing is left.
    StoreError
        For a split or a sample that there is none of.
    """
    names = store.splits if split is None else (split,)
    splits = {name: store[name] for name in names}
    if samples is None:
        chosen = {name: one.slots for name, one in splits.items()}
    else:
        chosen = find_slots(store, samples, None if split is None else [split])
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

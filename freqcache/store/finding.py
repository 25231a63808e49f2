"""Finds samples of a store by what people call them: the one rule of all commands and functions that take samples.

- A number without leading zeros is a slot of the split that is named, or of the only one there is.
- Anything else is the path that a sample's file had in the source, as the store has it; or, where no path is that, the
  end of one path, from a ``/`` on. ``000000003`` is a path, of an item without a name.

Which of the found samples are taken, and what is done with them, is for others.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.split import Split
from freqcache.store.store import Store

Named: TypeAlias = int | range | str
"""A slot, a range of slots, or a word: the number of a slot, or a path."""

_Places: TypeAlias = list[tuple[str, int]]
"""Splits and slots."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")

_FEW: Final = 8
"""So many words are searched for one by one, each in all paths as one text; more, by going through the paths."""

_HINTED: Final = 10_000


def as_slot(word: str) -> int | None:
    """Return the slot that a word means; None for a path."""
    return int(word) if _NUMBER.fullmatch(word) else None


def find_slots(
    store: Store, samples: Sequence[Named], splits: Sequence[str] | None = None
) -> dict[str, npt.NDArray[np.intp]]:
    """Return the slots of some samples, by split and increasing.

    Parameters
    ----------
    store : Store
        The store.
    samples : sequence of int, range or str
        What they are called. All samples of a path are taken; the end of a path must be that of one sample.
    splits : sequence of str, optional
        Where to look; in all splits by default.

    Raises
    ------
    StoreError
        If a split or a sample is not there, or is absent, or if it cannot be told which one is meant.
    """
    parts = {name: store[name] for name in (store.splits if splits is None else splits)}
    numbers = [as_slot(sample) if isinstance(sample, str) else sample for sample in samples]
    chosen: dict[str, set[int]] = {name: set() for name in parts}
    for number in numbers:
        if number is not None:
            name, slots = _numbered(store, parts, number)
            chosen[name].update(slots)
    unnumbered = (sample for sample, number in zip(samples, numbers, strict=True) if number is None)
    words = dict.fromkeys(str(sample) for sample in unnumbered)
    found = _named(parts, list(words)) if words else {}
    missing = [word for word in words if not found[word]]
    if missing:
        raise StoreError(_not_there(store, parts, missing, everywhere=len(parts) == len(store.splits)))
    for word, places in found.items():
        if len(places) > 1 and not _is_path(parts, word, places):
            raise StoreError(_several(store, parts, word, places))
        for name, slot in places:
            chosen[name].add(slot)
    for name, taken in chosen.items():
        _check_present(parts[name], taken)
    return {name: np.array(sorted(taken), dtype=np.intp) for name, taken in chosen.items()}


def find_slot(store: Store, sample: int | str, split: str | None = None) -> tuple[str, int]:
    """Return the split and the slot of one sample.

    Parameters
    ----------
    store : Store
        The store.
    sample : int or str
        What it is called.
    split : str, optional
        Where to look; in all splits by default.

    Raises
    ------
    StoreError
        If there is no such split or sample, or it is absent, or several samples are called so.
    """
    found = find_slots(store, [sample], None if split is None else [split])
    places = [(name, slot) for name, slots in found.items() for slot in slots.tolist()]
    if len(places) > 1:
        parts = {name: store[name] for name in found}
        raise StoreError(_several(store, parts, str(sample), places))
    return places[0]


def _numbered(store: Store, parts: Mapping[str, Split], number: int | range) -> tuple[str, range]:
    """Return the split of a slot, or of a range of slots, and the slots, after a look whether they are there."""
    if len(parts) > 1:
        msg = f"{store.location}: slots are numbered in each split ({', '.join(parts)}): say which"
        raise StoreError(msg)
    ((name, part),) = parts.items()
    slots = number if isinstance(number, range) else range(number, number + 1)
    for slot in (slots[0], slots[-1]) if slots else ():
        if not 0 <= slot < part.metadata.slots:
            msg = f"{part.place}: there is no slot {slot}; there are 0 to {part.metadata.slots - 1}"
            raise StoreError(msg)
    return name, slots


def _check_present(part: Split, slots: set[int]) -> None:
    absent = sorted(slot for slot in slots if part.labels[slot] < 0)
    if absent:
        also = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        msg = f"{part.place}: slot {absent[0]} is absent{also}: {part.source_path(absent[0])} failed during the build"
        raise StoreError(msg)


def _named(parts: Mapping[str, Split], words: Sequence[str]) -> dict[str, _Places]:
    """Return of each word the samples whose path it is; or else, whose path ends in it."""
    wanted = {word.encode("utf-8", "surrogateescape"): word for word in words if word}
    whole: dict[str, _Places] = {word: [] for word in words}
    ends: dict[str, _Places] = {word: [] for word in words}
    for name, part in parts.items():
        for word, slot, is_whole in _searched(part, wanted) if len(wanted) <= _FEW else _listed(part, wanted):
            (whole if is_whole else ends)[word].append((name, slot))
    return {word: whole[word] or ends[word] for word in words}


def _searched(part: Split, wanted: Mapping[bytes, str]) -> Iterator[tuple[str, int, bool]]:
    """Yield what words are paths, or ends of paths: the word, the slot, whether it is the whole path."""
    starts, blob = part.values("source_path_offset"), part.values("source_path").tobytes()
    for sought, word in wanted.items():
        place = blob.find(sought)
        while place >= 0:
            slot = int(np.searchsorted(starts, place, side="right")) - 1
            whole = place == starts[slot]
            if (whole or blob[place - 1 : place] == b"/") and place + len(sought) == starts[slot + 1]:
                yield word, slot, bool(whole)
            place = blob.find(sought, place + 1)


def _listed(part: Split, wanted: Mapping[bytes, str]) -> Iterator[tuple[str, int, bool]]:
    """Yield the same for many words."""
    for slot in range(part.metadata.slots):
        path = part.source_path(slot).encode("utf-8", "surrogateescape")
        if path in wanted:
            yield wanted[path], slot, True
        cut = path.find(b"/") + 1
        while cut:
            if path[cut:] in wanted:
                yield wanted[path[cut:]], slot, False
            cut = path.find(b"/", cut) + 1


def _is_path(parts: Mapping[str, Split], word: str, places: _Places) -> bool:
    name, slot = places[0]
    return parts[name].source_path(slot) == word


def _not_there(store: Store, parts: Mapping[str, Split], missing: Sequence[str], *, everywhere: bool) -> str:
    also = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    where = "" if everywhere else f" in the split {', '.join(parts)}" if parts else ""
    paths = (part.source_path(slot) for part in parts.values() for slot in range(part.metadata.slots))
    near = difflib.get_close_matches(missing[0], islice(paths, _HINTED), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; give a slot, or a path as the store has it"
    return f"{store.location}: no sample of the source path {missing[0]!r}{also}{where}{hint}"


def _several(store: Store, parts: Mapping[str, Split], word: str, places: _Places) -> str:
    first, second, *others = (f"{name} {slot} ({parts[name].source_path(slot)})" for name, slot in places)
    more = ", .." if others else ""
    return (
        f"{store.location}: {len(places)} samples come from files called {word!r}: {first}, {second}{more}; "
        "give more of the path, or the split and a slot"
    )

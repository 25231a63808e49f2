"""Which samples of a store a subset keeps. Deterministic: the same store and the same wish give the same samples."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqcache.building.slots import shuffle_key
from freqcache.errors import BuildError, StoreError
from freqcache.rewriting.inputs import Input, StoredSample
from freqcache.store.finding import find_slots


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a subset keeps; everything that is not None narrows it.

    Attributes
    ----------
    splits : tuple of str or None
        Names of splits.
    classes : tuple of str or None
        Names of classes. Labels are counted anew over them, in the store's order.
    keep_labels : bool
        With `classes`: keep all class names and every label as it is.
    samples : tuple of str or None
        What samples are called: see :mod:`freqcache.store.finding`.
    limit_per_class : int or None
        At most so many samples of each class in each split: those whose paths come first when shuffled by `seed`. So a
        smaller limit gives a part of a larger one, and stores of other kinds of the same files the same samples.
    seed : int
        For `limit_per_class`.
    """

    splits: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    keep_labels: bool = False
    samples: tuple[str, ...] | None = None
    limit_per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.limit_per_class is not None and self.limit_per_class < 1:
            msg = f"limit_per_class: expected at least 1, found {self.limit_per_class}"
            raise BuildError(msg)
        if not 0 <= self.seed < 2**64:
            msg = f"seed: expected 0..2**64 - 1, found {self.seed}"
            raise BuildError(msg)
        if self.keep_labels and self.classes is None:
            msg = "keep_labels: labels change only where classes are chosen"
            raise BuildError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return what a store records: the wish, without what it does not name."""
        found: dict[str, Any] = {
            "splits": self.splits,
            "classes": self.classes,
            "samples": None if self.samples is None else len(self.samples),
            "limit_per_class": self.limit_per_class,
        }
        found = {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v is not None}
        if self.limit_per_class is not None:
            found["seed"] = self.seed
        return found

    def of(self, source: Input) -> Mapping[str, list[StoredSample]]:
        """Return the samples to keep of each split, in the order of their slots.

        Raises
        ------
        StoreError
            If a split, a class or a sample is named that the store does not have, or nothing is left.
        """
        store = source.store
        splits = store.splits if self.splits is None else self._known("split", self.splits, store.splits, source)
        kept = {name: source.samples(name) for name in splits}
        if self.classes is not None:
            names = self._known("class", self.classes, store.classes, source)
            chosen = {label for label, name in enumerate(store.classes) if name in names}
            kept = {name: [s for s in samples if s.label in chosen] for name, samples in kept.items()}
        if self.samples is not None:
            named = {name: set(slots.tolist()) for name, slots in find_slots(store, self.samples, splits).items()}
            kept = {name: [s for s in samples if s.slot in named[name]] for name, samples in kept.items()}
        if self.limit_per_class is not None:
            kept = {name: self._first(samples, self.limit_per_class) for name, samples in kept.items()}
        kept = {name: samples for name, samples in kept.items() if samples}
        if not kept:
            msg = f"{source.location}: no sample is left: nothing in it is of all that was chosen"
            raise StoreError(msg)
        return kept

    def _first(self, samples: Sequence[StoredSample], limit: int) -> list[StoredSample]:
        taken: dict[int, int] = {}
        keep = set()
        for sample in sorted(samples, key=lambda sample: shuffle_key(sample.path, self.seed)):
            taken[sample.label] = taken.get(sample.label, 0) + 1
            if taken[sample.label] <= limit:
                keep.add(sample.slot)
        return [sample for sample in samples if sample.slot in keep]

    @staticmethod
    def _known(what: str, wanted: Sequence[str], there: Sequence[str], source: Input) -> tuple[str, ...]:
        """Return the wanted names in the store's order."""
        unknown = [name for name in wanted if name not in there]
        if unknown:
            near = difflib.get_close_matches(unknown[0], there, n=3)
            few = len(there) <= 10
            hint = (
                f"did you mean {', '.join(near)}?"
                if near
                else f"it has {', '.join(there[:10])}{'' if few else ', ...'}"
            )
            more = f" (and {len(unknown) - 1} more unknown names)" if len(unknown) > 1 else ""
            msg = f"{source.location}: no {what} {unknown[0]!r}{more}; {hint}"
            raise StoreError(msg)
        return tuple(name for name in there if name in set(wanted))


def read_lines(path: str | Path) -> tuple[str, ...]:
    """Return the lines of a text file (UTF-8) that are not empty: names of classes or samples.

    Raises
    ------
    BuildError
        If it cannot be read, or names nothing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise BuildError(msg) from error
    # Names may hold every other character that str.splitlines takes for the end of a line.
    lines = tuple(line.removesuffix("\r") for line in text.split("\n") if line.strip())
    if not lines:
        msg = f"{path}: names nothing; expected a name a line"
        raise BuildError(msg)
    return lines

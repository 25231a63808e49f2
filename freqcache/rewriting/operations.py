"""The three rewrites: some samples of a store, several stores as one, one store in another form.

Each says what goes where; :mod:`freqcache.rewriting.run` does it. Every sample keeps its integers, its steps and all
that is recorded of its source file. Absent slots are dropped, a hot copy is not carried over, and what the new store
records of its making (``options``, ``made_from``) names its sources by id, not by where they lay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from freqcache.building.options import MADE_FROM
from freqcache.building.slots import Slot
from freqcache.errors import BuildError, StoreError
from freqcache.rewriting.inputs import Input, StoredSample, differences
from freqcache.rewriting.report import RewriteReport
from freqcache.rewriting.run import Rewrite, run_rewrite, splits_in_order
from freqcache.rewriting.selection import Selection
from freqcache_formats.mask import ChannelMask

_LEVELS: Final = range(1, 10)


def subset(
    store: str | Path,
    out: str | Path,
    selection: Selection,
    *,
    channels: ChannelMask | str | Path | None = None,
    level: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> RewriteReport:
    """Make a store of some samples of another, in their order.

    Parameters
    ----------
    store : path or URL
        A store.
    out : path
        The store to make. An unfinished one of the same call is finished.
    selection : Selection
        What to keep. Where classes are chosen, the new store has these only and labels are counted anew, unless the
        selection says to keep them.
    channels : ChannelMask, preset name or path of a mask.json, optional
        Store these only.
    level : int, optional
        Compression level, 1..9; the store's own by default.
    workers : int, optional
        Processes; all cores by default. The bytes do not depend on it.
    overwrite : bool
        Replace a store that stands at `out`.
    quiet : bool
        Show no progress.

    Returns
    -------
    RewriteReport

    Raises
    ------
    StoreError, FormatError, MaskError
        If the store is damaged or does not have what is chosen.
    BuildError
        If the new one cannot be begun or finished.
    """
    _check_level(level)
    source = Input(store)
    mask = None if channels is None else ChannelMask.load(channels)
    kept = selection.of(source)
    form = source.form(list(kept), mask, level)
    old = source.store.classes
    classes, labels = old, dict(enumerate(range(len(old))))
    if selection.classes is not None and not selection.keep_labels:
        chosen = [label for label, name in enumerate(old) if name in set(selection.classes)]
        classes, labels = tuple(old[label] for label in chosen), {label: i for i, label in enumerate(chosen)}
    notes = _emptied(source, selection, kept)
    rewrite = Rewrite(
        inputs=[source],
        form=form,
        slots={name: _slots(0, samples, labels) for name, samples in kept.items()},
        classes=classes,
        options=_options([source], form.level, None, {"operation": "subset", "kept": selection.to_dict()}),
        notes=notes,
    )
    return run_rewrite(rewrite, out, workers=workers, overwrite=overwrite, quiet=quiet)


def repack(
    store: str | Path,
    out: str | Path,
    *,
    channels: ChannelMask | str | Path | None = None,
    level: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> RewriteReport:
    """Make a store of all samples of another, with fewer channels, another compression level or in another order.

    A store without absent slots that is repacked as it is, by the release that made it, gives the same shards, byte for
    byte, and the same id.

    Parameters
    ----------
    store, out, channels, level, workers, overwrite, quiet
        As for :func:`subset`.
    shuffle : bool
        Shuffle the samples as a build does; their order stays by default.
    seed : int
        Of the shuffle.

    Raises
    ------
    StoreError, FormatError, MaskError, BuildError
        As :func:`subset`.
    """
    _check_level(level)
    source = Input(store)
    mask = None if channels is None else ChannelMask.load(channels)
    kept = Selection(seed=seed).of(source)
    form = source.form(list(kept), mask, level)
    labels = dict(enumerate(range(len(source.store.classes))))
    order = seed if shuffle else None
    rewrite = Rewrite(
        inputs=[source],
        form=form,
        slots={name: _slots(0, samples, labels) for name, samples in kept.items()},
        classes=source.store.classes,
        options=_options([source], form.level, order, {"operation": "repack"}),
        seed=order,
    )
    return run_rewrite(rewrite, out, workers=workers, overwrite=overwrite, quiet=quiet)


def merge(
    stores: Sequence[str | Path],
    out: str | Path,
    *,
    allow_duplicates: bool = False,
    level: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> RewriteReport:
    """Make one store of several of the same form: classes and splits are joined by name.

    Parameters
    ----------
    stores : sequence of path or URL
        At least two, of one kind, size, dtype, steps and set of channels.
    out, level, workers, overwrite, quiet
        As for :func:`subset`; the first store's level by default.
    allow_duplicates : bool
        Keep samples of equal source paths in a split of several stores, each as a sample of its own.
    shuffle : bool
        Shuffle the samples as a build does, so that row groups are random sets; otherwise store comes after store.
    seed : int
        Of the shuffle.

    Raises
    ------
    StoreError, FormatError, BuildError
        As :func:`subset`, and if the stores do not fit together.
    """
    _check_level(level)
    if len(stores) < 2:
        msg = f"expected at least two stores to merge, found {len(stores)}"
        raise BuildError(msg)
    inputs = [Input(store) for store in stores]
    forms = [source.form(source.store.splits, None, level) for source in inputs]
    for source, form in zip(inputs[1:], forms[1:], strict=True):
        found = differences(forms[0], form)
        if found:
            msg = f"{source.location} cannot be merged with {inputs[0].location}: {'; '.join(found)}"
            raise StoreError(msg)
    classes = inputs[0].store.classes
    if any(source.store.classes != classes for source in inputs):
        classes = tuple(sorted({name for source in inputs for name in source.store.classes}))
    slots: dict[str, list[Slot]] = {}
    duplicates = 0
    for split in splits_in_order({name for source in inputs for name in source.store.splits}):
        samples = _joined(inputs, split, classes)
        duplicates += _duplicates(inputs, split, samples, allow_duplicates)
        if samples:
            slots[split] = samples
    if not slots:
        msg = "none of the stores holds a sample"
        raise StoreError(msg)
    notes = (f"{duplicates} samples have the source path of one in an earlier store",) if duplicates else ()
    order = seed if shuffle else None
    rewrite = Rewrite(
        inputs=inputs,
        form=forms[0],
        slots=slots,
        classes=classes,
        options=_options(inputs, forms[0].level, order, {"operation": "merge"}),
        seed=order,
        notes=(*notes, *_option_notes(inputs)),
    )
    return run_rewrite(rewrite, out, workers=workers, overwrite=overwrite, quiet=quiet)


def _check_level(level: int | None) -> None:
    if level is not None and level not in _LEVELS:
        msg = f"level: expected {_LEVELS[0]}..{_LEVELS[-1]}, found {level}"
        raise BuildError(msg)


def _slots(number: int, samples: Sequence[StoredSample], labels: Mapping[int, int]) -> list[Slot]:
    return [Slot(path=s.path, label=labels[s.label], blocks=s.blocks, stored=(number, s.slot)) for s in samples]


def _joined(inputs: Sequence[Input], split: str, classes: tuple[str, ...]) -> list[Slot]:
    """Return the samples of a split of all stores, one store after the other."""
    places = {name: label for label, name in reversed(list(enumerate(classes)))}
    joined = []
    for number, source in enumerate(inputs):
        if split in source.store.splits:
            labels = {label: places[name] for label, name in enumerate(source.store.classes)}
            joined += _slots(number, source.samples(split), labels)
    return joined


def _duplicates(inputs: Sequence[Input], split: str, slots: Sequence[Slot], allowed: bool) -> int:
    """Return how many samples have the path of one in an earlier store.

    Raises
    ------
    StoreError
        If there are any, and they are not allowed.
    """
    first: dict[str, tuple[int, int]] = {}
    count = 0
    for slot in slots:
        before = first.setdefault(slot.path, slot.stored or (0, 0))
        here = slot.stored or (0, 0)
        if before[0] == here[0]:
            continue
        count += 1
        if not allowed:
            one, other = (inputs[store].split(split).values("source_digest")[n] for store, n in (before, here))
            same = "the same file" if (one == other).all() else "two files of one name"
            msg = (
                f"{slot.path} (split {split}) is in {inputs[before[0]].location} and in {inputs[here[0]].location}: "
                f"{same}, by the digests; --allow-duplicates keeps both"
            )
            raise StoreError(msg)
    return count


def _emptied(source: Input, selection: Selection, kept: Mapping[str, list[StoredSample]]) -> tuple[str, ...]:
    """Say which splits were asked for, or taken for granted, and have no sample left."""
    wanted = source.store.splits if selection.splits is None else selection.splits
    gone = [name for name in wanted if name not in kept]
    return (f"no sample of split {', '.join(gone)} is left, so the new store has no such split",) if gone else ()


def _options(inputs: Sequence[Input], level: int, seed: int | None, how: dict[str, Any]) -> dict[str, Any]:
    """Return what the new store records: the build options that all inputs share, and what it was made from."""
    every = [dict(source.store.metadata.options) for source in inputs]
    made_from = [
        {"id": source.store.id} | {key: options[key] for key in (MADE_FROM,) if key in options}
        for source, options in zip(inputs, every, strict=True)
    ]
    shared = {
        name: value
        for name, value in every[0].items()
        if name != MADE_FROM and all(name in options and options[name] == value for options in every)
    }
    shared["level"] = level
    if seed is not None:
        shared |= {"shuffle": True, "seed": seed}
    return shared | {MADE_FROM: {**how, "stores": made_from}}


def _option_notes(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Say which build options differ between stores that are merged, but for those that change no sample."""
    every = [dict(source.store.metadata.options) for source in inputs]
    names = [name for name in every[0] if name not in (MADE_FROM, "level", "shuffle", "seed")]
    odd = [name for name in names if any(options.get(name) != every[0][name] for options in every)]
    if not odd:
        return ()
    return (f"the stores were built with different {', '.join(odd)}; the new one does not record them",)

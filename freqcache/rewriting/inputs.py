"""The stores that a rewrite reads: opened, listed, and compared in form.

Nothing of their coefficients is read here; see :mod:`freqcache.rewriting.source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqcache.building.form import StoreForm
from freqcache.errors import StoreError
from freqcache.remote import is_url
from freqcache.store import FixedSplit, NativeSplit, Store, open_store
from freqcache.store.places import LocalPlace
from freqcache_formats.layout import BLOCK_SIZE, HOT
from freqcache_formats.mask import ChannelMask


@dataclass(frozen=True, kw_only=True)
class StoredSample:
    """A sample of an input.

    Attributes
    ----------
    slot : int
        In its split.
    path : str
        Of its source file.
    label : int
        In the classes of its store.
    blocks : tuple of int
        Blocks of each component of a native sample; empty for a fixed one.
    """

    slot: int
    path: str
    label: int
    blocks: tuple[int, ...]


class Input:
    """A store that is read.

    Parameters
    ----------
    path : path or URL
        Where it is.

    Attributes
    ----------
    store : Store
    where : str
        Its URL or absolute path, from which another process opens it.

    Raises
    ------
    StoreError, FormatError
        If it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.where = str(path) if is_url(path) else str(Path(path).absolute())
        self.store: Store = open_store(self.where, hot=False)
        self._splits: dict[str, FixedSplit | NativeSplit] = {}

    @property
    def location(self) -> str:
        """Absolute path or URL."""
        return self.store.location

    @property
    def has_hot_copy(self) -> bool:
        """Whether there is a hot copy in it."""
        return isinstance(self.store.place, LocalPlace) and (self.store.place.path / HOT / "zarr.json").exists()

    def split(self, name: str) -> FixedSplit | NativeSplit:
        """Return a split, opened once."""
        if name not in self._splits:
            self._splits[name] = self.store[name]
        return self._splits[name]

    def samples(self, name: str) -> list[StoredSample]:
        """Return the samples of a split in the order of their slots; absent slots are none."""
        split = self.split(name)
        blocks = split.values("blocks").prod(axis=2).tolist() if isinstance(split, NativeSplit) else None
        return [
            StoredSample(
                slot=slot,
                path=split.source_path(slot),
                label=int(split.labels[slot]),
                blocks=() if blocks is None else tuple(blocks[slot]),
            )
            for slot in split.slots.tolist()
        ]

    def coefficient_bytes(self, name: str) -> int:
        """Return the bytes of a split's shard files."""
        return int(self.split(name).values("shard_bytes").sum())

    def form(self, splits: Sequence[str], channels: ChannelMask | None, level: int | None) -> StoreForm:
        """Return the form of these splits with `channels` and `level`, or with their own.

        Raises
        ------
        MaskError
            If a channel is not stored.
        StoreError
            If the splits differ in form: no writer of ours makes that.
        """
        channels = channels or self.store.channels
        self.store.check_holds(channels)
        forms = [_form(self.split(name), channels, level) for name in splits]
        for name, form in zip(splits, forms, strict=True):
            found = differences(forms[0], form)
            if found:
                msg = f"{self.location}: its splits {splits[0]} and {name} differ: {'; '.join(found)}"
                raise StoreError(msg)
        return forms[0]


def _form(split: FixedSplit | NativeSplit, channels: ChannelMask, level: int | None) -> StoreForm:
    level = max(1, split.level) if level is None else level
    if isinstance(split, NativeSplit):
        return StoreForm(channels=channels, level=level, dtype=split.dtype)
    steps = split.quantization[channels.indices]
    return StoreForm(channels=channels, level=level, dtype=split.dtype, grid=split.grid, steps=steps)


def differences(first: StoreForm, second: StoreForm) -> list[str]:
    """Return in what two forms differ that samples of both could not share a store; a different level is nothing."""
    if first.kind != second.kind:
        return [f"one is {first.kind}, the other {second.kind}"]
    found = []
    if first.channels.channels != second.channels.channels:
        odd = len(set(first.channels.channels) ^ set(second.channels.channels))
        found.append(f"{len(first.channels)} and {len(second.channels)} channels, {odd} of them not in both")
    if first.grid is not None and second.grid is not None and first.grid != second.grid:
        sizes = (" x ".join(str(BLOCK_SIZE * n) for n in reversed(grid)) for grid in (first.grid, second.grid))
        found.append(f"{' and '.join(sizes)} pixels")
    if first.dtype != second.dtype:
        found.append(f"{first.dtype} and {second.dtype}")
    elif not found and not np.array_equal(first.steps, second.steps):  # type: ignore[arg-type]
        found.append("other quantization steps")
    return found

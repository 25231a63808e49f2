"""The options of a measurement, and the masks that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

from freqcache.errors import StoreError
from freqcache.store import Store
from freqcache_formats.mask import ChannelMask

ORDERS: Final = ("stored", "groups", "samples")
STATES: Final = ("warm", "cold")
MASKS: Final = ("6", "24", "64", "192")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured, and for how long; StoreError for numbers that measure nothing.

    Attributes
    ----------
    channels : sequence of ChannelMask, preset names or paths of mask.json
        Masks; by default the presets 6, 24, 64 and 192, those of them that the store holds.
    orders, states : sequence of str
        Of :data:`ORDERS` and :data:`STATES`.
    split : str, optional
        By default ``train``, or the first.
    source : path, optional
        Where the cache's images came from, to measure Pillow on them.
    threads, batch_size : int
        Row groups, or files, read at a time; samples in a batch.
    repeats : int
        Passes of each configuration.
    seconds : float
        About so much is spent in all; passes are made short for it, and left out where that does not suffice.
    seed : int
        Of the orders.
    """

    channels: Sequence[ChannelMask | str | Path] = ()
    orders: Sequence[str] = ORDERS
    states: Sequence[str] = STATES
    split: str | None = None
    source: str | Path | None = None
    threads: int = 1
    batch_size: int = 64
    repeats: int = 5
    seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.seconds) and self.seconds > 0):
            msg = f"seconds: expected a positive number, found {self.seconds}"
            raise StoreError(msg)
        for name in ("threads", "batch_size", "repeats"):
            if getattr(self, name) < 1:
                msg = f"{name}: expected at least 1, found {getattr(self, name)}"
                raise StoreError(msg)


def named_masks(wanted: Sequence[ChannelMask | str | Path], store: Store) -> dict[str, ChannelMask]:
    """Return masks by the names that tables have for them."""
    held = store.channels
    if not wanted:
        presets = [ChannelMask.preset(name) for name in MASKS]
        fitting = [mask for mask in presets if set(mask.channels) <= set(held.channels)]
        return {mask.name: mask for mask in fitting or [held]}
    found: dict[str, ChannelMask] = {}
    for given in wanted:
        mask = ChannelMask.load(given)
        name = mask.name if isinstance(given, ChannelMask) or mask.name == given else Path(given).name
        found[str(given) if found.get(name, mask) != mask else name] = mask
    return found

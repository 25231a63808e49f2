"""Which images a run trains on and which it validates on.

A cache with a ``train`` split validates on ``val``, or else on ``test``. A cache with one split only has a
share of each class held out, the same images for every seed. Reading is :mod:`freqcache.dataset`'s and
:mod:`freqcache.loading.loader`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from freqcache.dataset import FrequencyDataset
from freqcache.errors import TrainingError
from freqcache.loading.loader import FrequencyLoader
from freqcache.store import open_store
from freqcache.training.config import RunConfig
from freqcache_formats.mask import ChannelMask

HOLD_OUT_SEED = 0
DEFAULT_SIZE = 224


class Batches(Protocol):
    """Batches of coefficients and labels, in an order that depends on the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a split: all of it, or the samples at `indices`.

    Attributes
    ----------
    dataset : FrequencyDataset
    indices : (n,) int64 or None
        Positions in the dataset, increasing; None for all.
    """

    dataset: FrequencyDataset
    indices: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.dataset) if self.indices is None else len(self.indices)

    @property
    def name(self) -> str:
        """Name of the split."""
        return self.dataset.split


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Training and validation parts of a cache.

    Attributes
    ----------
    train, val : Part
    held_out : bool
        The validation part was held out of the training split.
    """

    train: Part
    val: Part
    held_out: bool


def resolve_cache(cache: str | None, channels: ChannelMask | None) -> str:
    """Return the cache to train on: the one named, or else the one the mask remembers.

    Parameters
    ----------
    cache : str or None
        Path or URL, as the user gave it.
    channels : ChannelMask or None
        The mask given with ``--channels``.

    Returns
    -------
    str

    Raises
    ------
    TrainingError
        If neither names a cache, the remembered one is gone, or another one is in its place.
    """
    if cache is not None:
        return cache
    if channels is None:
        msg = "no cache named: expected a cache, or a mask that remembers one"
        raise TrainingError(msg)
    if channels.cache is None:
        msg = (
            f"mask {channels.name!r} does not say which cache it came from; "
            "name one: freqcache train CACHE --channels MASK"
        )
        raise TrainingError(msg)
    path = channels.cache.path
    if "://" not in path and not Path(path).exists():
        msg = f"mask {channels.name!r} came from the cache {path}, which is gone; name the cache to train on"
        raise TrainingError(msg)
    found = open_store(path).id
    if found != channels.cache.id:
        msg = (
            f"mask {channels.name!r} was made from the cache {path} with id {channels.cache.id}, "
            f"but the cache there now has id {found}; name the cache to train on"
        )
        raise TrainingError(msg)
    return path


def resolve_size(config: RunConfig) -> RunConfig:
    """Return the configuration with the size that a native cache needs, where none was given.

    It is the one that the mask was selected at, or else 224 pixels.
    """
    if config.size is not None or open_store(config.cache).kind == "fixed":
        return config
    recorded = None if config.channels is None else config.channels.selection.get("size")
    return replace(config, size=recorded if isinstance(recorded, int) else DEFAULT_SIZE)


def open_data(config: RunConfig) -> RunData:
    """Open the parts of the cache that `config` trains and validates on.

    Raises
    ------
    TrainingError
        If the splits do not say which images to train on, or there are too few.
    """
    splits = tuple(open_store(config.cache).splits)
    channels = config.channels
    if "train" in splits and ("val" in splits or "test" in splits):
        val_split = "val" if "val" in splits else "test"
        data = RunData(
            train=Part(dataset=FrequencyDataset(config.cache, split="train", channels=channels, size=config.size)),
            val=Part(dataset=FrequencyDataset(config.cache, split=val_split, channels=channels, size=config.size)),
            held_out=False,
        )
    elif len(splits) == 1:
        dataset = FrequencyDataset(config.cache, split=splits[0], channels=channels, size=config.size)
        chosen = hold_out(dataset.labels, config.val_fraction)
        train = Part(dataset=dataset, indices=np.flatnonzero(~chosen))
        data = RunData(train=train, val=Part(dataset=dataset, indices=np.flatnonzero(chosen)), held_out=True)
    else:
        msg = f"{config.cache}: expected the splits train and val, or one split; found {', '.join(splits)}"
        raise TrainingError(msg)
    if len(data.train) < 2 or len(data.val) < 1:
        msg = f"{config.cache}: too few images: {len(data.train)} to train on, {len(data.val)} to validate on"
        raise TrainingError(msg)
    return data


def hold_out(labels: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.bool_]:
    """Choose a share of every class for validation, by a fixed seed.

    Parameters
    ----------
    labels : (N,) int64
    fraction : float
        Share of each class, rounded; at least one image of a class that has two, and never all of a class.

    Returns
    -------
    (N,) bool
        True for the samples held out.
    """
    generator = np.random.default_rng(HOLD_OUT_SEED)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[members[:count]] = True
    return chosen


def open_batches(part: Part, batch_size: int, *, shuffle: bool = False, seed: int = 0) -> Batches:
    """Return batches of a part: shuffled and without a last incomplete one, or all of them in order."""
    size = min(batch_size, len(part))
    return FrequencyLoader(part.dataset, size, shuffle=shuffle, seed=seed, drop_last=shuffle, indices=part.indices)

"""Which images a run trains on and which it validates on.

A cache with a ``train`` split validates on ``val``, or else on ``test``. A cache with one split only has a
share of each class held out, the same images for every seed. Reading is :mod:`freqcache.dataset`'s and
:mod:`freqcache.loading.loader`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from freqcache.crops import CentreCrop, Crop, RandomResizedCrop
from freqcache.dataset import FrequencyDataset
from freqcache.errors import FormatError, StoreError, TrainingError
from freqcache.loading.loader import FrequencyLoader
from freqcache.remote import is_url
from freqcache.store import open_store
from freqcache.training.config import RunConfig
from freqcache.training.distributed import Ranks
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import BLOCK_SIZE
from freqcache_formats.mask import ChannelMask

HOLD_OUT_SEED = 0
DEFAULT_SIZE = 224
ALONE = Ranks()
RESIZE = 8 / 7
"""Of the short side before the centre crop: the usual 256 for 224."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a split: all of it, or the samples at `indices`.

    Attributes
    ----------
    dataset : FrequencyDataset
    crop : Crop or None
        What becomes of each image on its way to the network; None for nothing.
    indices : (n,) int64 or None
        Positions in the dataset, increasing; None for all.
    """

    dataset: FrequencyDataset
    crop: Crop | None = None
    indices: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.dataset) if self.indices is None else len(self.indices)

    @property
    def name(self) -> str:
        """Name of the split."""
        return self.dataset.split

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of what the network takes."""
        if self.crop is None:
            return self.dataset.grid
        return self.crop.size // BLOCK_SIZE, self.crop.size // BLOCK_SIZE


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
    if not is_url(path) and not Path(path).exists():
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
    """Return the configuration with sizes that fit the cache.

    A native cache needs one: the one given, or that the mask was selected at, or else 224 pixels. A fixed cache has
    one: crops are brought to it, and validation sees its images whole, as they were cropped when it was built. So the
    sizes of a recipe that is made for either kind are dropped.

    Raises
    ------
    TrainingError
        If another size is wanted of a fixed cache.
    """
    if open_store(config.cache).kind == "fixed":
        if config.crop == "none":
            return config  # a size is refused by the dataset
        side = _fixed_side(config)
        if config.size not in (None, side):
            msg = (
                f"{config.cache}: a fixed cache has one size, {side} pixels; --size {config.size} is for native caches"
            )
            raise TrainingError(msg)
        return replace(config, size=None, resize=None)
    if config.size is not None:
        return config
    recorded = None if config.channels is None else config.channels.selection.get("size")
    return replace(config, size=recorded if isinstance(recorded, int) else DEFAULT_SIZE)


def holds_few_channels(cache: str) -> bool:
    """Whether a cache holds some of the 192 channels only; one that cannot be opened is refused where it is read."""
    try:
        return not open_store(cache).channels.is_all
    except (StoreError, FormatError):
        return False


def resolve_channels(config: RunConfig) -> RunConfig:
    """Return the configuration with the channels of a cache that holds some only, where none are named.

    Raises
    ------
    TrainingError
        If what the configuration asks for needs channels that the cache does not hold.
    """
    held = open_store(config.cache).channels
    if config.channels is not None or held.is_all:
        return config
    try:
        return replace(config, channels=held)
    except TrainingError as error:
        msg = f"{config.cache}: holds {len(held)} of the {N_CHANNELS} channels: {error}"
        raise TrainingError(msg) from error


def open_data(config: RunConfig) -> RunData:
    """Open the parts of the cache that `config` trains and validates on.

    Raises
    ------
    TrainingError
        If the splits do not say which images to train on, or there are too few.
    """
    splits = tuple(open_store(config.cache).splits)
    if "train" in splits and ("val" in splits or "test" in splits):
        val_split = "val" if "val" in splits else "test"
        data = RunData(
            train=_open_part(config, "train", training=True),
            val=_open_part(config, val_split, training=False),
            held_out=False,
        )
    elif len(splits) == 1:
        train = _open_part(config, splits[0], training=True)
        # Without crops the two are read alike, and need one dataset only: one index and one read of what is small.
        val = train if config.crop == "none" else _open_part(config, splits[0], training=False)
        chosen = hold_out(train.dataset.labels, config.val_fraction)
        data = RunData(
            train=replace(train, indices=np.flatnonzero(~chosen)),
            val=replace(val, indices=np.flatnonzero(chosen)),
            held_out=True,
        )
    else:
        msg = f"{config.cache}: expected the splits train and val, or one split; found {', '.join(splits)}"
        raise TrainingError(msg)
    if len(data.train) < 2 or len(data.val) < 1:
        msg = f"{config.cache}: too few images: {len(data.train)} to train on, {len(data.val)} to validate on"
        raise TrainingError(msg)
    return data


def _open_part(config: RunConfig, split: str, *, training: bool) -> Part:
    """Open a split as it is trained or validated on: whole images, or crops of them."""
    options: dict[str, Any] = {"split": split, "channels": config.channels, "threads": config.threads}
    if config.crop == "none":
        return Part(dataset=FrequencyDataset(config.cache, size=config.size, **options))
    crop = _train_crop(config) if training else eval_crop(config)
    if crop is None:
        return Part(dataset=FrequencyDataset(config.cache, **options))
    return Part(dataset=FrequencyDataset(config.cache, crop=crop, **options), crop=crop)


def _train_crop(config: RunConfig) -> Crop:
    flip = 0.5 if config.flip else 0.0
    return RandomResizedCrop(size=_fixed_side(config) if config.size is None else config.size, flip=flip)


def eval_crop(config: RunConfig) -> CentreCrop | None:
    """Return the centre crop of validation; None where images are only resized, or are of a fixed cache."""
    if config.size is None or config.crop == "none":
        return None
    resize = config.resize or round(config.size * RESIZE / BLOCK_SIZE) * BLOCK_SIZE
    return CentreCrop(size=config.size, resize=resize)


def _fixed_side(config: RunConfig) -> int:
    """Return the side in pixels of a fixed cache's images."""
    grid = FrequencyDataset(config.cache, split=open_store(config.cache).splits[0]).grid
    if grid[0] != grid[1]:
        msg = f"{config.cache}: crops are square, and its images have {grid[0]}x{grid[1]} blocks; use --crop none"
        raise TrainingError(msg)
    return BLOCK_SIZE * grid[0]


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


def open_batches(
    part: Part,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    ranks: Ranks = ALONE,
    device: torch.device | None = None,
) -> FrequencyLoader:
    """Return batches of a part for this process: shuffled and without incomplete ones, or all of them in order.

    Parameters
    ----------
    part : Part
    batch_size : int
        Images of a batch of this process.
    shuffle, seed : bool, int
        Of the order.
    ranks : Ranks
        The processes that share the part.
    device : torch.device, optional
        Where batches are wanted.
    """
    return FrequencyLoader(
        part.dataset,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=shuffle,
        indices=part.indices,
        rank=ranks.rank,
        world_size=ranks.world_size,
        device=device,
        pin_memory=device is not None and device.type == "cuda",
    )

"""What a cache says of its channels before any training: energy, deviation, and the bytes they take.

Energy is the mean square of dequantized coefficients, ``mean**2 + std**2``; deviation is its square root about the
mean. Both are of the training split's statistics; for samples of a native cache that are brought to one size they are
measured after the resize, which changes the spectrum (see :func:`freqcache.normalization.measure`).

Training is :mod:`freqcache.training`'s, and cutting a ranking is :mod:`freqcache.selection.cuts`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.crops import CentreCrop
from freqcache.dataset import FrequencyDataset
from freqcache.errors import TrainingError
from freqcache.normalization import Normalization, measure
from freqcache.selection.rankings import Ranking, spread_out
from freqcache.store import open_store
from freqcache_formats.mask import CacheReference, ChannelMask

TRAINING_SPLITS: Final = ("train", "all")

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CacheProfile:
    """What a split of a cache holds of each channel.

    Attributes
    ----------
    cache : CacheReference
    split : str
    size : int or None
        Side in pixels that samples of a native cache are brought to.
    mean, std : (192,) float64
        Of the dequantized coefficients, at `size`; NaN for channels of which there is none: images without chroma, or a
        channel that is not stored.
    channel_bytes : (192,) float64
        Stored bytes per image of each channel.
    reads : callable
        Gives the channels that are read to make those of a mask: with a `size` more than the mask's own, because a
        resize mixes frequencies.
    """

    cache: CacheReference
    split: str
    size: int | None
    mean: Float
    std: Float
    channel_bytes: Float
    reads: Callable[[ChannelMask], ChannelMask]

    @property
    def source(self) -> str:
        """Where these numbers come from."""
        at = "" if self.size is None else f" at {self.size} px"
        return f"{self.cache.path}, split {self.split}{at}"

    @property
    def energy(self) -> Float:
        """(192,) float64; mean square of the dequantized coefficients."""
        return self.mean**2 + self.std**2

    def energy_ranking(self, channels: ChannelMask | None = None) -> Ranking:
        """Return the energies as a ranking, of `channels` alone or of all."""
        return Ranking(name="energy", values=_only(self.energy, channels), source=self.source)

    def deviation_ranking(self, channels: ChannelMask | None = None) -> Ranking:
        """Return the deviations as a ranking, of `channels` alone or of all."""
        return Ranking(name="deviation", values=_only(self.std, channels), source=self.source)

    def normalized(self, normalization: Normalization, channels: ChannelMask) -> tuple[Float, Float]:
        """Return the mean and the deviation of what a network sees of each channel.

        With a normalization by the same cache's statistics they are 0 and 1 by construction; by the published
        numbers of DCTNet, or on another cache, they are not.

        Parameters
        ----------
        normalization : Normalization
            Of the run, for `channels` in their order.
        channels : ChannelMask
            The run's.

        Returns
        -------
        mean, std : (192,) float64
            NaN for other channels.
        """
        scale, offset = (part.double().numpy() for part in normalization.affine())  # (C,) each
        indices = channels.indices
        mean = spread_out(indices, self.mean[indices] * scale + offset)
        return mean, spread_out(indices, self.std[indices] * scale)

    def cost(self, mask: ChannelMask) -> float:
        """Return the stored bytes read per image for a mask's channels."""
        return float(self.channel_bytes[self.reads(mask).indices].sum())


def _only(values: Float, channels: ChannelMask | None) -> Float:
    return values if channels is None else spread_out(channels.indices, values[channels.indices])


def read_profile(path: str, *, split: str | None = None, size: int | None = None) -> CacheProfile:
    """Read what a cache says of its channels.

    Parameters
    ----------
    path : str
        Path or URL of the cache.
    split : str, optional
        Its training split, or its only one, by default.
    size : int, optional
        For native caches: the side in pixels that samples are brought to.

    Raises
    ------
    TrainingError
        If no split is named and none is for training.
    StoreError
        If the cache cannot be read, or the size does not fit it.
    """
    dataset = FrequencyDataset(path, split=_split(path) if split is None else split, size=size)
    stored = dataset.store[dataset.split]
    statistics = stored.statistics
    reads: Callable[[ChannelMask], ChannelMask] = _itself
    if size is None:
        missing = statistics.count == 0
        mean, std = (np.where(missing, np.nan, part) for part in (statistics.mean, statistics.std))
    else:
        measured = measure(dataset.read_batch, len(dataset), CentreCrop(size=size), dataset.channels)
        mean, std = (spread_out(dataset.channels.indices, part) for part in measured)

        def reads(mask: ChannelMask) -> ChannelMask:
            return FrequencyDataset(path, split=dataset.split, channels=mask, size=size).source_channels

    return CacheProfile(
        cache=CacheReference(path=dataset.cache_path, id=dataset.cache_id),
        split=dataset.split,
        size=size,
        mean=mean,
        std=std,
        channel_bytes=stored.channel_bytes() / max(1, len(dataset)),
        reads=reads,
    )


def _split(path: str) -> str:
    splits = open_store(path).splits
    for name in TRAINING_SPLITS:
        if name in splits:
            return name
    if len(splits) == 1:
        return splits[0]
    msg = f"{path}: no split is called {' or '.join(TRAINING_SPLITS)}; name one of {', '.join(splits)} with --split"
    raise TrainingError(msg)


def _itself(mask: ChannelMask) -> ChannelMask:
    return mask

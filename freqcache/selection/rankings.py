"""A number per channel by which channels can be ranked, with its name and its source.

Numbers that differ by no more than rounding are *tied*. What to do about a tie is the user's to say: nothing here
decides between tied channels without being asked to. Cutting a ranking is :mod:`freqcache.selection.cuts`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache_formats.channels import ALL_CHANNELS, N_CHANNELS, N_FREQUENCIES, Channel
from freqcache_formats.mask import ChannelMask

Float = npt.NDArray[np.float64]


class Order(NamedTuple):
    """Channels by decreasing value.

    Attributes
    ----------
    indices : (n,) intp
        Storage indices of the ranked channels; tied ones by frequency (zigzag), then Y, Cb, Cr.
    groups : (n,) intp
        Number of the group of tied channels that each belongs to: 0 for the highest, rising.
    """

    indices: npt.NDArray[np.intp]
    groups: npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """A number per channel; the higher it is, the sooner the channel is kept.

    Attributes
    ----------
    name : str
        What the number is: ``"energy"``, ``"P(on)"``.
    values : (192,) float64
        In storage order; NaN for channels that are not ranked.
    source : str
        Where the numbers come from: a run, or a cache and its split.

    Raises
    ------
    TrainingError
        If no channel has a number, or one is infinite.
    ValueError
        If there are not 192 of them.
    """

    name: str
    values: Float
    source: str

    absolute: ClassVar[float] = 0.0
    relative: ClassVar[float] = 1e-9
    """Values that differ by no more than `absolute`, or than `relative` times the larger, are tied."""

    least_spread: ClassVar[float] = 0.0
    """Largest minus smallest value at or below which a ranking means nothing."""

    def __post_init__(self) -> None:
        if self.values.shape != (N_CHANNELS,):
            msg = f"expected one number for each of {N_CHANNELS} channels, found shape {self.values.shape}"
            raise ValueError(msg)
        if np.isinf(self.values).any():
            channel = Channel.from_index(int(np.flatnonzero(np.isinf(self.values))[0]))
            msg = f"{self.source}: the {self.name} of channel {channel} is not finite"
            raise TrainingError(msg)
        if np.isnan(self.values).all():
            msg = f"{self.source}: no channel has a number to rank it by ({self.name})"
            raise TrainingError(msg)

    @property
    def ranked(self) -> npt.NDArray[np.intp]:
        """Storage indices of the channels that have a number, increasing."""
        return np.flatnonzero(~np.isnan(self.values))

    @property
    def mask_name(self) -> str:
        """What masks cut from this ranking are named after."""
        return self.name

    def tied(self, a: float, b: float) -> bool:
        """Whether two values differ by no more than rounding."""
        return abs(a - b) <= max(self.absolute, self.relative * max(abs(a), abs(b)))

    def order(self) -> Order:
        """Return the ranked channels by decreasing value, and which of them are tied.

        A group of ties ends where two neighbours in the order are not tied.
        """
        decreasing = self.ranked[np.argsort(-self.values[self.ranked], kind="stable")]
        groups = np.zeros(len(decreasing), dtype=np.intp)
        for i in range(1, len(decreasing)):
            before, here = self.values[decreasing[i - 1]], self.values[decreasing[i]]
            groups[i] = groups[i - 1] + (not self.tied(before, here))
        component, zigzag = np.divmod(decreasing, N_FREQUENCIES)
        return Order(decreasing[np.lexsort((component, zigzag, groups))], groups)

    def show(self, value: float) -> str:
        """Return a value for people."""
        return f"{value:.6g}"

    def degenerate(self) -> str | None:
        """Say why this ranking decides nothing at all, or None."""
        values = self.values[self.ranked]
        low, high = float(values.min()), float(values.max())
        if len(values) > 1 and (self.tied(low, high) or high - low <= self.least_spread):
            return f"the ranking is degenerate, {self.name} lies in {self.show(low)}..{self.show(high)} everywhere"
        return None

    def warnings(self) -> tuple[str, ...]:
        """Return what a user must know before trusting these numbers, one sentence each."""
        return ()

    def provenance(self) -> dict[str, Any]:
        """Return what a mask's file says of these numbers."""
        return {"ranking": self.name, "source": self.source, "values": self.by_channel()}

    def by_channel(self) -> dict[str, float]:
        """Return the values by channel name, to six digits."""
        return {str(ALL_CHANNELS[i]): float(f"{self.values[i]:.6g}") for i in self.ranked.tolist()}


def spread_out(indices: npt.NDArray[np.intp], values: npt.NDArray[Any]) -> Float:
    """Return `values`, (C,), of the channels at storage `indices` as (192,) float64, NaN elsewhere."""
    whole = np.full(N_CHANNELS, np.nan)
    whole[indices] = values
    return whole


def random_ranking(seed: int, channels: ChannelMask | None = None) -> Ranking:
    """Return a random ranking without ties: what any other one should be better than.

    Parameters
    ----------
    seed : int
        The same seed gives the same order of all 192 channels, whichever of them are ranked.
    channels : ChannelMask, optional
        Channels to rank; all by default.
    """
    values = np.random.default_rng(seed).permutation(N_CHANNELS).astype(np.float64)
    indices = np.arange(N_CHANNELS) if channels is None else channels.indices
    return Ranking(name="random", values=spread_out(indices, values[indices]), source=f"seed {seed}")


def frequency_index() -> Float:
    """Return u + v of every channel, (192,) float64 in storage order: 0 for the mean, 14 for the finest pattern."""
    return np.array([channel.u + channel.v for channel in ALL_CHANNELS], dtype=np.float64)

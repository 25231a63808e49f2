"""What a cache says of its channels: heat maps of their statistics, and how energy and bytes decay.

Energy is the mean square of the dequantized coefficients, ``mean**2 + std**2``. The DCT is orthonormal, so the energies
of a component's 64 channels add up to 64 times the mean square of its level-shifted samples (Parseval's theorem).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from freqcache.plotting.heatmaps import HeatRow, draw_heatmaps, heatmaps_height
from freqcache.plotting.stored import open_split
from freqcache.plotting.style import (
    BLACK,
    COMPONENT_COLOURS,
    GREEN,
    RED,
    check_picture,
    in_bytes,
    number_axis,
    picture,
    text,
    tidy,
)
from freqcache_formats.channels import COMPONENTS, N_FREQUENCIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = npt.NDArray[np.float64]

COUNTS: Final = (1, 2, 6, 12, 24, 48, 64, 96, 192)
"""Numbers of channels that are marked on the axes of the curves."""

_CURVES_HEIGHT: Final = 4.2


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelStatistics:
    """Numbers of the channels of a split.

    Attributes
    ----------
    store, kind, split : str
        Name of the store, ``"native"`` or ``"fixed"``, and the split.
    samples : int
    mean, std, zero_fraction : (192,) float64
        Of the dequantized coefficients, in storage order; NaN for channels of which there are none.
    bytes : (192,) float64
        Stored bytes per image; NaN for channels that the store does not hold.
    """

    store: str
    kind: str
    split: str
    samples: int
    mean: Float
    std: Float
    zero_fraction: Float
    bytes: Float

    @property
    def energy(self) -> Float:
        """(192,) float64; mean square of the dequantized coefficients."""
        return self.mean**2 + self.std**2

    def order(self) -> npt.NDArray[np.intp]:
        """Return the storage indices of the channels that there are, by falling energy; ties in storage order."""
        order = np.argsort(-self.energy, kind="stable")
        return order[np.isfinite(self.energy[order])]

    def shares(self, values: Float) -> Float:
        """Return what the 1, 2, .. most energetic channels have of a sum over the channels: (channels,) in 0..1."""
        taken = np.nan_to_num(values[self.order()]).cumsum()
        return taken / taken[-1] if len(taken) and taken[-1] > 0 else np.zeros(len(taken))


def read_statistics(path: str, split: str | None = None) -> ChannelStatistics:
    """Read the statistics of a split: the training split, or the first there is, by default.

    Raises
    ------
    StoreError, FormatError
        If there is no such store or split, or it has no samples.
    """
    store, part = open_split(path, split)
    found = part.statistics
    there = np.zeros(len(found.count), dtype=bool)
    there[store.channels.indices] = True
    counted = there & (found.count > 0)
    mean, std, zeros = (np.where(counted, values, np.nan) for values in (found.mean, found.std, found.zero_fraction))
    return ChannelStatistics(
        store=Path(store.location.rstrip("/")).name,
        kind=store.kind,
        split=part.name,
        samples=len(part),
        mean=mean,
        std=std,
        zero_fraction=zeros,
        bytes=np.where(there, part.channel_bytes() / len(part), np.nan),
    )


def save_statistics(path: str | Path, statistics: ChannelStatistics, *, dpi: int | None = None) -> None:
    """Draw heat maps of energy, deviation, zeros and mean, and below them the curves of the sorted channels.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    statistics : ChannelStatistics
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    rows = [
        HeatRow(values=statistics.energy, title="energy", label="mean square, log scale", log=True),
        HeatRow(values=statistics.std, title="deviation", label="standard deviation, log scale", log=True),
        HeatRow(
            values=100 * statistics.zero_fraction,
            title="coefficients that are zero",
            label="share of all, %",
            limits=(0.0, 100.0),
        ),
        HeatRow(values=statistics.mean, title="mean", label="mean, log scale on either side of 0", signed=True),
    ]
    maps = heatmaps_height(rows)
    with picture(path, width=12.6, height=maps + _CURVES_HEIGHT, dpi=dpi) as figure:
        parts = figure.subfigures(2, 1, height_ratios=(maps, _CURVES_HEIGHT), squeeze=False)
        above, below = parts[:, 0]
        draw_heatmaps(above, rows)
        decay, shares = below.subplots(1, 2)
        _draw_decay(decay, statistics)
        _draw_shares(shares, statistics)
        where = f"{text(statistics.store, 50)} ({statistics.kind}), {statistics.split}, {statistics.samples:,} images"
        figure.suptitle(f"{where}: dequantized coefficients of each channel")


def draw_statistics(store: str, path: str | Path, *, split: str | None = None, dpi: int | None = None) -> None:
    """Read the statistics of a store and draw them: :func:`read_statistics`, then :func:`save_statistics`."""
    check_picture(path)
    save_statistics(path, read_statistics(store, split), dpi=dpi)


def _ranks(axes: Axes, count: int) -> None:
    ticks = [float(n) for n in COUNTS if n < count] + [float(count)]
    if len(ticks) > 1 and ticks[-2] * 1.25 > ticks[-1]:
        del ticks[-2]
    number_axis(axes, ticks, [f"{tick:.0f}" for tick in ticks])
    tidy(axes)


def _draw_decay(axes: Axes, statistics: ChannelStatistics) -> None:
    """Draw the energies of the channels from the largest to the least."""
    order = statistics.order()
    energy, ranks = statistics.energy[order], np.arange(1, len(order) + 1)
    positive = energy > 0
    axes.plot(ranks[positive], energy[positive], color="#999999", linewidth=0.8, zorder=1)
    for component, (name, colour, marker) in enumerate(zip(COMPONENTS, COMPONENT_COLOURS, "o^s", strict=True)):
        here = positive & (order // N_FREQUENCIES == component)
        axes.scatter(ranks[here], energy[here], s=16, color=colour, marker=marker, label=name, linewidths=0, zorder=2)
    if positive.any():
        axes.set_yscale("log")
    zeros = int((~positive).sum())
    axes.set_title("energy of the channels, sorted" + (f" ({zeros} without any are not shown)" if zeros else ""))
    axes.set_xlabel("rank by energy")
    axes.set_ylabel("mean square of the coefficients")
    axes.legend(loc="upper right")
    _ranks(axes, max(len(order), 1))


def _draw_shares(axes: Axes, statistics: ChannelStatistics) -> None:
    """Draw what the most energetic channels have of all energy, of all variance, and of all bytes."""
    lines = (
        (statistics.energy, "energy", BLACK, "-"),
        (statistics.std**2, "variance (energy without the means)", GREEN, "-"),
        (statistics.bytes, "stored bytes", RED, "--"),
    )
    for values, label, colour, dashes in lines:
        shares = 100 * statistics.shares(values)
        axes.plot(np.arange(1, len(shares) + 1), shares, color=colour, linestyle=dashes, linewidth=1.8, label=label)
    whole = in_bytes(float(np.nansum(statistics.bytes)))
    axes.set_title(f"what the first channels have of all ({whole} per image)")
    axes.set_xlabel("channels kept, by energy")
    axes.set_ylabel("cumulative share, %")
    axes.set_ylim(0, 102)
    axes.legend(loc="best")
    _ranks(axes, max(len(statistics.order()), 1))

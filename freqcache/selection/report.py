"""What is known of a mask and of the channels it was chosen from, as numbers, a table and rows of a heat map.

Getting there, from a run or a cache, is :func:`freqcache.training.select.choose_channels`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache.plotting.heatmaps import HeatRow
from freqcache.plotting.style import check_picture
from freqcache.selection.agreement import Agreement, Correlation, rank_correlation
from freqcache.selection.cuts import Selection
from freqcache.selection.probabilities import ChannelProbabilities
from freqcache.selection.profile import CacheProfile
from freqcache.selection.rankings import Ranking, frequency_index
from freqcache.targets import check_target
from freqcache_formats.mask import ChannelMask

Float = npt.NDArray[np.float64]

_AFTER: Final = "deviation after normalization"
_TITLES: Final = {
    "P(on)": "mean probability of an open gate",
    "weights": "norm of the weights of the first convolutions",
    "deviation": "standard deviation of the coefficients",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelChoice:
    """A mask, and what is known of the channels it was chosen from.

    Attributes
    ----------
    source : str
        The run or the cache that was asked.
    ranking : Ranking
        That the mask was cut from.
    selection : Selection
        With its mask.
    profile : CacheProfile
        Of the cache.
    normalized : ((192,) float64, (192,) float64) or None
        Mean and deviation of what a run's network sees of each channel; None without a run on channels.
    correlations : tuple of Correlation
        Of the ranking with the other numbers.
    agreement : Agreement or None
        Of the mask, which comes first, with the others it was to be compared with.
    warnings : tuple of str
        What makes the mask doubtful; empty when nothing does.
    """

    source: str
    ranking: Ranking
    selection: Selection
    profile: CacheProfile
    normalized: tuple[Float, Float] | None
    correlations: tuple[Correlation, ...]
    agreement: Agreement | None
    warnings: tuple[str, ...] = ()

    def columns(self) -> dict[str, Float]:
        """Return the numbers of the channels by name, (192,) float64 each, for :func:`write_table`."""
        none = np.full(len(self.ranking.values), np.nan)
        gates = self.ranking if isinstance(self.ranking, ChannelProbabilities) else None
        mean, std = (none, none) if self.normalized is None else self.normalized
        return {
            "p_on": none if gates is None else gates.values,
            "open_share": none if gates is None else gates.open_share,
            "weights": self.ranking.values if self.ranking.name == "weights" else none,
            "energy": self.profile.energy,
            "deviation": self.profile.std,
            "normalized_mean": mean,
            "normalized_deviation": std,
            "bytes": self.profile.channel_bytes,
        }

    def heat_rows(self) -> list[HeatRow]:
        """Return what to draw, the mask outlined: the ranking, the energy and the deviation after normalization."""
        rho = {correlation.name: _in_words(correlation, self.ranking.name) for correlation in self.correlations}
        rows = []
        name, values = self.ranking.name, self.ranking.values
        if name not in ("energy", "random"):
            rows.append(HeatRow(values=values, title=_TITLES.get(name, name), label=name, log=name == "deviation"))
        title = f"energy of the coefficients{rho.get('energy', '')}"
        rows.append(HeatRow(values=self.profile.energy, title=title, label="mean square, log scale", log=True))
        if self.normalized is not None:
            title = f"deviation after the run's normalization{rho.get(_AFTER, '')}"
            rows.append(HeatRow(values=self.normalized[1], title=title, label="standard deviation"))
        return [replace(row, selected=self.selection.mask) for row in rows]


def _in_words(correlation: Correlation, name: str) -> str:
    if np.isnan(correlation.rho):
        return f" ({correlation.note})"
    note = f", {correlation.note}" if correlation.note else ""
    return f" (rank correlation with {name}: {correlation.rho:+.2f}{note})"


def correlate(
    ranking: Ranking, profile: CacheProfile, normalized: tuple[Float, Float] | None
) -> tuple[Correlation, ...]:
    """Correlate a ranking with everything else that is known of the channels: see :class:`ChannelChoice`."""
    others = {"energy": profile.energy, "deviation": profile.std}
    if normalized is not None:
        others[_AFTER] = normalized[1]
    others["frequency u+v"] = frequency_index()
    return tuple(
        rank_correlation(name, ranking.values, values) for name, values in others.items() if name != ranking.name
    )


def silent_channels(mask: ChannelMask, profile: CacheProfile) -> tuple[str, ...]:
    """Warn of channels in a mask that never vary: a network can learn nothing from them."""
    silent = [str(channel) for channel in mask.channels if not profile.std[channel.storage_index] > 0]
    if not silent:
        return ()
    shown = ", ".join(silent[:6]) + (", ..." if len(silent) > 6 else "")
    return (f"{len(silent)} of the mask's channels never vary in {profile.source}, and carry nothing: {shown}",)


def check_targets(mask: Path, *others: Path, heatmap: Path | None = None) -> None:
    """Look, before any work, whether files can be written where they are to go.

    Raises
    ------
    TrainingError
        If a folder is missing or not writable, or a folder stands in the way.
    MissingPlotExtra, PlotError
        If no heat map could be drawn.
    """
    for path in (mask, *others):
        check_target(path, TrainingError)
    if heatmap is not None:
        check_picture(heatmap)

"""The end of a gated run: a mask and a heat map beside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache.plotting import MissingPlotExtra, save_heatmap
from freqcache.selection import ChannelProbabilities, select_top_k
from freqcache.selection.cuts import select_by_budget
from freqcache.training.evaluation import EvalResult, pool_gates
from freqcache.training.runs import HEATMAP, MASK
from freqcache_formats.mask import CacheReference, ChannelMask


@dataclass(frozen=True, kw_only=True)
class SelectedChannels:
    """What a gated run chose.

    Attributes
    ----------
    probabilities : ChannelProbabilities
        Over the validation images.
    mask : ChannelMask or None
        None where the ranking decided nothing; a warning says so.
    mask_path, heatmap_path : Path or None
        Files written.
    warnings : tuple of str
    """

    probabilities: ChannelProbabilities
    mask: ChannelMask | None
    mask_path: Path | None
    heatmap_path: Path | None
    warnings: tuple[str, ...]


def select_channels(
    run: Path,
    channels: ChannelMask,
    result: EvalResult,
    *,
    k: int,
    cache: CacheReference,
    size: int | None = None,
    budget: float | None = None,
    channel_bytes: npt.NDArray[np.float64] | None = None,
) -> SelectedChannels:
    """Rank the gated channels, and write mask.json and heatmap.png into a run folder.

    Parameters
    ----------
    run : Path
        Run folder.
    channels : ChannelMask
        Channels of the run's gate, in order.
    result : EvalResult
        Of the final weights on the validation images.
    k : int
        Channels of the mask.
    cache, size : CacheReference, int or None
        Stored in the mask.
    budget, channel_bytes : float, (C,) float64, optional
        Keep what so many bytes per image pay for instead of `k` channels, where each of `channels` costs so much.

    Returns
    -------
    SelectedChannels
    """
    probabilities = pool_gates(channels.indices, result, source=str(run))
    mask: ChannelMask | None = None
    try:
        if budget is not None and channel_bytes is not None:
            costs = dict(zip(channels.channels, channel_bytes.tolist(), strict=True))

            def cost(mask: ChannelMask) -> float:
                return float(sum(costs[channel] for channel in mask.channels))

            selection = select_by_budget(probabilities, budget, cost, cache=cache, size=size)
        else:
            selection = select_top_k(probabilities, k, cache=cache, size=size)
        mask, warnings = selection.mask, selection.warnings
        mask.write(run / MASK)
    except TrainingError as error:
        warnings = (*probabilities.warnings(), str(error))
    drawn: Path | None = run / HEATMAP
    try:
        save_heatmap(run / HEATMAP, probabilities.values, selected=mask, title=f"P(on), {run.name}")
    except MissingPlotExtra as error:
        drawn = None
        warnings = (*warnings, f"no heat map was drawn: {error}")
    return SelectedChannels(
        probabilities=probabilities,
        mask=mask,
        mask_path=None if mask is None else run / MASK,
        heatmap_path=drawn,
        warnings=warnings,
    )

"""The end of a gated run: a mask and a heat map beside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache.plotting.heatmaps import save_heatmap
from freqcache.plotting.style import MissingPlotExtra
from freqcache.selection import ChannelProbabilities, select_top_k
from freqcache.selection.cuts import select_by_budget
from freqcache.training.evaluation import EvalResult, pool_gates
from freqcache.training.runs import HEATMAP, MASK
from freqcache_formats.mask import CacheReference, ChannelMask

MISSED: Final = 0.1
"""Share of its target by which a run may miss it without a word."""


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
    target: float | None = None,
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
    target : float, optional
        Channels that the run was to end with.
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
    except TrainingError as error:
        warnings = (*probabilities.warnings(), str(error))
    warnings = (*_missed(target, result, channel_bytes, budget), *warnings)
    drawn: Path | None = run / HEATMAP
    try:
        save_heatmap(run / HEATMAP, probabilities.values, selected=mask, title=f"P(on), {run.name}")
    except MissingPlotExtra as error:
        drawn = None
        warnings = (*warnings, f"no heat map was drawn: {error}")
    if mask is None:
        (run / MASK).unlink(missing_ok=True)  # of another k
    else:
        mask.write(run / MASK)  # last: where it is, the run has ended
    return SelectedChannels(
        probabilities=probabilities,
        mask=mask,
        mask_path=None if mask is None else run / MASK,
        heatmap_path=drawn,
        warnings=warnings,
    )


def _missed(
    target: float | None, result: EvalResult, channel_bytes: npt.NDArray[np.float64] | None, budget: float | None
) -> tuple[str, ...]:
    """Say that a run is not where it was to end."""
    if target is not None and result.channels_open is not None:
        wanted, found, unit = target, result.channels_open, "channels"
    elif budget is not None and channel_bytes is not None and result.open_share is not None:
        wanted, found, unit = budget, float(channel_bytes @ result.open_share), "bytes"
    else:
        return ()
    if abs(found - wanted) <= MISSED * wanted:
        return ()
    return (
        f"the target of {wanted:,.4g} {unit} was not reached: {found:,.4g} are open per image; train longer, or give "
        "the gates a larger --gate-lr",
    )

"""From a ranking to a mask: the k best channels, those above a threshold, or as many as a budget of bytes pays for.

A cut that the ranking does not decide (between tied channels, or in a ranking that is all ties) is refused rather than
made at an arbitrary place; :mod:`freqcache.selection.rankings` says what a tie is.

A budget keeps a *prefix* of the ranking: channels are taken in order until one does not fit, and that one ends the
cut, even where a later, cheaper channel would still fit. So the mask is always a top-k, for the k that it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from freqcache.errors import TrainingError
from freqcache.selection.rankings import Order, Ranking
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.mask import CacheReference, ChannelMask

DEFAULT_K: Final = 24
"""Channels of a mask, where nothing says how many."""

Cost: TypeAlias = Callable[[ChannelMask], float]
"""Bytes read per image for a mask's channels: never fewer for more channels."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A mask and how safely it was cut.

    Attributes
    ----------
    mask : ChannelMask
        With its provenance in ``mask.selection``.
    margin : float
        Smallest value kept minus largest value left out; 0 where nothing is left out.
    bytes_per_image : float or None
        Bytes read per image for the mask, where its cost is known.
    warnings : tuple of str
        What makes the cut doubtful; empty when nothing does.
    """

    mask: ChannelMask
    margin: float
    bytes_per_image: float | None = None
    warnings: tuple[str, ...] = ()


def select_top_k(
    ranking: Ranking,
    k: int,
    *,
    cache: CacheReference | None = None,
    size: int | None = None,
    cost: Cost | None = None,
    allow_ties: bool = False,
) -> Selection:
    """Keep the `k` channels of the highest values.

    Parameters
    ----------
    ranking : Ranking
        Often a :class:`~freqcache.selection.ChannelProbabilities`.
    k : int
        Channels to keep.
    cache, size : CacheReference and int, optional
        The cache, and for a native one the side in pixels its samples were brought to; stored in the mask.
    cost : callable, optional
        Bytes per image of a mask, to be stored in it.
    allow_ties : bool
        Return a mask, with a warning, even where the ranking does not decide; ties go to the lower frequency,
        then to the component Y, Cb, Cr.

    Returns
    -------
    Selection

    Raises
    ------
    TrainingError
        If fewer than `k` channels are ranked, all values are equal, or the cut falls between equal ones.
    """
    order = ranking.order()
    if not 1 <= k <= len(order.indices):
        msg = f"{ranking.source}: cannot keep {k} channels of {len(order.indices)} ranked ones"
        raise TrainingError(msg)
    how = {"method": f"top-k of {_quantity(ranking)}", "k": k}
    return _cut(ranking, order, k, how, (), cache=cache, size=size, cost=cost, allow_ties=allow_ties)


def select_by_budget(
    ranking: Ranking,
    budget: float,
    cost: Cost,
    *,
    cache: CacheReference | None = None,
    size: int | None = None,
    allow_ties: bool = False,
) -> Selection:
    """Keep the longest prefix of the ranking that `budget` bytes per image pay for.

    Parameters
    ----------
    ranking : Ranking
    budget : float
        Bytes per image.
    cost : callable
        Bytes read per image for a mask: see :meth:`freqcache.selection.profile.CacheProfile.cost`.
    cache, size, allow_ties
        As for :func:`select_top_k`.

    Returns
    -------
    Selection

    Raises
    ------
    TrainingError
        If not even the first channel fits, or as for :func:`select_top_k`.
    """
    order = ranking.order()

    def takes(k: int) -> float:
        return cost(ChannelMask.from_indices(order.indices[:k]))

    # By bisection, as more channels never cost less: a resize makes even the cost of one mask a small piece of work.
    k, too_many = 0, len(order.indices) + 1
    while too_many - k > 1:
        middle = (k + too_many) // 2
        if takes(middle) <= budget:
            k = middle
        else:
            too_many = middle
    if k == 0:
        msg = (
            f"{ranking.source}: the first channel, {ALL_CHANNELS[order.indices[0]]}, takes {takes(1):,.0f} bytes per "
            f"image, more than the budget of {budget:,.0f}"
        )
        raise TrainingError(msg)
    notes = (f"all {k} channels fit into the budget of {budget:,.0f} bytes",) if k == len(order.indices) else ()
    how = {"method": f"budget of bytes per image by {_quantity(ranking)}", "budget": budget, "k": k}
    return _cut(ranking, order, k, how, notes, cache=cache, size=size, cost=cost, allow_ties=allow_ties)


def select_by_threshold(
    ranking: Ranking,
    threshold: float,
    *,
    cache: CacheReference | None = None,
    size: int | None = None,
    cost: Cost | None = None,
) -> Selection:
    """Keep the channels whose value is above `threshold`: no tie is broken, as equal values stay together.

    Raises
    ------
    TrainingError
        If none is.
    """
    order = ranking.order()
    values = ranking.values[order.indices]
    k = int(np.sum(values > threshold))
    if k == 0:
        msg = f"{ranking.source}: no channel's {ranking.name} is above {threshold}; the highest is {values.max():.4f}"
        raise TrainingError(msg)
    kept = order.indices[np.argsort(-values, kind="stable")[:k]]  # of tied ones, those above
    left_out = np.setdiff1d(order.indices, kept)
    margin = float(ranking.values[kept].min() - ranking.values[left_out].max()) if len(left_out) else 0.0
    warnings = ranking.warnings()
    if not len(left_out):
        warnings = (*warnings, f"every one of the {k} channels is above the threshold {threshold}")
    how = {"method": f"threshold on {_quantity(ranking)}", "threshold": threshold, "size": size}
    return _finish(ranking, kept.tolist(), margin, how, warnings, cache, cost)


def _quantity(ranking: Ranking) -> str:
    return f"mean {ranking.name}" if ranking.mask_name == "gated" else ranking.name


def _cut(
    ranking: Ranking,
    order: Order,
    k: int,
    how: dict[str, Any],
    notes: tuple[str, ...],
    *,
    cache: CacheReference | None,
    size: int | None,
    cost: Cost | None,
    allow_ties: bool,
) -> Selection:
    """Keep the first `k` channels of the order, unless it does not decide between them and the next."""
    doubt = _doubt(ranking, order, k) if k < len(order.indices) else None
    if doubt is not None and not allow_ties:
        msg = f"{ranking.source}: no mask of {k} channels: {doubt}"
        raise TrainingError(msg)
    values = ranking.values[order.indices]
    margin = max(0.0, float(values[:k].min() - values[k:].max())) if k < len(values) else 0.0
    warnings = (*ranking.warnings(), *notes, *(() if doubt is None else (doubt,)))
    return _finish(ranking, order.indices[:k].tolist(), margin, how | {"size": size}, warnings, cache, cost)


def _doubt(ranking: Ranking, order: Order, k: int) -> str | None:
    """Say why a cut after the first `k` channels of the order means nothing, or None."""
    degenerate = ranking.degenerate()
    if degenerate is not None:
        return degenerate
    if order.groups[k - 1] != order.groups[k]:
        return None
    group = np.flatnonzero(order.groups == order.groups[k])
    above, upto = int(group[0]), int(group[-1]) + 1
    tie = f"{ranking.name} = {ranking.show(float(ranking.values[order.indices[k]]))}"
    clear = f"{above} or {upto}" if above else f"{upto}"
    return f"{len(group)} channels tie at the cut with {tie}; {clear} channels would be a clear choice"


def _finish(
    ranking: Ranking,
    indices: list[int],
    margin: float,
    how: dict[str, Any],
    warnings: tuple[str, ...],
    cache: CacheReference | None,
    cost: Cost | None,
) -> Selection:
    takes = None if cost is None else cost(ChannelMask.from_indices(indices))
    spent = {} if takes is None else {"bytes_per_image": round(takes, 1)}
    provenance = how | spent | {"warnings": list(warnings)} | ranking.provenance()
    mask = ChannelMask.from_indices(
        indices, name=f"{ranking.mask_name}-{len(indices)}", cache=cache, selection=provenance
    )
    return Selection(mask=mask, margin=margin, bytes_per_image=takes, warnings=warnings)

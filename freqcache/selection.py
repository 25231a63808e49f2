"""Static selection: from what gates learned to a mask.

Xu et al. (CVPR 2020, section 3.4) pool the gates over the validation images into a probability per channel
and keep the k most probable. Channels are ranked here by the mean *probability* of being open, never by hard
decisions: while every gate is still on by arg max, the decisions are all ties. A ranking that decides nothing
is refused rather than cut at an arbitrary place.

Pure arithmetic on numbers; running the network is :func:`freqcache.training.channel_probabilities`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache_formats.channels import N_CHANNELS, Channel
from freqcache_formats.mask import CacheReference, ChannelMask

TIE_TOLERANCE = 1e-6
"""Probabilities closer than this are equal: a few float32 steps."""

MIN_SPREAD = 1e-3
"""A largest minus smallest probability below this is what the initial weights alone give (about 4e-4)."""


@dataclass(frozen=True, kw_only=True)
class ChannelProbabilities:
    """Mean P(on) of the gates over a set of images.

    Attributes
    ----------
    values : (192,) float64
        In storage order; NaN for channels without a gate.
    open_share : (192,) float64
        Share of images for which the gate is open by arg max; NaN alike.
    images : int
        Number of images pooled.
    source : str
        The run they come from.
    """

    values: npt.NDArray[np.float64]
    open_share: npt.NDArray[np.float64]
    images: int
    source: str

    @classmethod
    def of(
        cls,
        indices: npt.NDArray[np.intp],
        values: npt.NDArray[np.float64],
        open_share: npt.NDArray[np.float64],
        *,
        images: int,
        source: str,
    ) -> ChannelProbabilities:
        """Return the probabilities of the channels at storage `indices`, (C,), spread over all 192."""
        spread = np.full((2, N_CHANNELS), np.nan)
        spread[0, indices] = values
        spread[1, indices] = open_share
        return cls(values=spread[0], open_share=spread[1], images=images, source=source)

    @property
    def gated(self) -> npt.NDArray[np.intp]:
        """Storage indices of the channels with a gate, increasing."""
        return np.flatnonzero(~np.isnan(self.values))

    def warnings(self) -> tuple[str, ...]:
        """Return what a user must know before trusting these numbers, one sentence each."""
        count = len(self.gated)
        shares = self.open_share[self.gated]
        low, high = float(self.values[self.gated].min()), float(self.values[self.gated].max())
        span = f"P(on) lies in {low:.3f}..{high:.3f}"
        if shares.min() >= 1.0:
            return (
                f"nothing has closed: all {count} gates are on by arg max for every image, and {span}; "
                "the ranking is only a tendency; raise --lam or train longer",
            )
        if shares.sum() < 0.5:
            return (
                f"everything has closed: {shares.sum():.2f} of {count} gates are open per image, and {span}; "
                "the network is nearly blind; lower --lam",
            )
        expected = float(self.values[self.gated].sum())
        if shares.sum() < expected / 4:
            return (
                f"the gates have not decided: {shares.sum():.1f} of {count} are open per image by arg max where "
                f"sampling opens {expected:.1f}, and {span}; the gated network's own accuracy means little, the "
                "ranking may stand; train longer or lower --lam",
            )
        return ()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A mask and how safely it was cut.

    Attributes
    ----------
    mask : ChannelMask
        With its provenance in ``mask.selection``.
    margin : float
        Smallest probability kept minus largest probability left out; 0 where nothing is left out.
    warnings : tuple of str
        What makes the cut doubtful; empty when nothing does.
    """

    mask: ChannelMask
    margin: float
    warnings: tuple[str, ...] = ()


def select_top_k(
    probabilities: ChannelProbabilities,
    k: int,
    *,
    cache: CacheReference | None = None,
    size: int | None = None,
    allow_ties: bool = False,
) -> Selection:
    """Keep the `k` channels with the highest mean probability of being open.

    Parameters
    ----------
    probabilities : ChannelProbabilities
    k : int
        Channels to keep.
    cache, size : CacheReference and int, optional
        The cache, and for a native one the side in pixels its samples were brought to; stored in the mask.
    allow_ties : bool
        Return a mask, with a warning, even where the ranking does not decide; ties go to the lower frequency,
        then to the component Y, Cb, Cr.

    Returns
    -------
    Selection

    Raises
    ------
    TrainingError
        If there are fewer than `k` gates, all probabilities are equal, or the cut falls between equal ones.
    """
    gated = probabilities.gated
    if not 1 <= k <= len(gated):
        msg = f"cannot keep {k} channels of {len(gated)} gated ones"
        raise TrainingError(msg)
    # A stable sort after one by frequency: what --allow-ties promises about equal probabilities.
    by_frequency = sorted((int(i) for i in gated), key=lambda i: (i % 64, i // 64))
    ranked = sorted(by_frequency, key=lambda i: -round(float(probabilities.values[i]) / TIE_TOLERANCE))
    values = probabilities.values[ranked]
    margin = max(0.0, float(values[:k].min() - values[k:].max())) if k < len(ranked) else 0.0
    doubt = _doubt(values, k) if k < len(ranked) else None
    if doubt is not None and not allow_ties:
        msg = f"{probabilities.source}: no mask of {k} channels: {doubt}"
        raise TrainingError(msg)
    warnings = (*probabilities.warnings(), *(() if doubt is None else (doubt,)))
    mask = _mask(ranked[:k], probabilities, cache, {"method": "top-k of mean P(on)", "k": k, "size": size}, warnings)
    return Selection(mask=mask, margin=margin, warnings=warnings)


def select_by_threshold(
    probabilities: ChannelProbabilities,
    threshold: float,
    *,
    cache: CacheReference | None = None,
    size: int | None = None,
) -> Selection:
    """Keep the channels whose mean probability of being open is above `threshold`.

    Raises
    ------
    TrainingError
        If none is.
    """
    gated = probabilities.gated
    kept = [int(i) for i in gated if probabilities.values[i] > threshold]
    if not kept:
        highest = probabilities.values[gated].max()
        msg = f"{probabilities.source}: no channel's P(on) is above {threshold}; the highest is {highest:.4f}"
        raise TrainingError(msg)
    dropped = [int(i) for i in gated if probabilities.values[i] <= threshold]
    margin = float(probabilities.values[kept].min() - probabilities.values[dropped].max()) if dropped else 0.0
    warnings = probabilities.warnings()
    if not dropped:
        warnings = (*warnings, f"every one of the {len(kept)} channels is above the threshold {threshold}")
    how = {"method": "threshold on mean P(on)", "threshold": threshold, "size": size}
    return Selection(mask=_mask(kept, probabilities, cache, how, warnings), margin=margin, warnings=warnings)


def _doubt(values: npt.NDArray[np.float64], k: int) -> str | None:
    """Say why a cut after the first `k` of these decreasing probabilities means nothing, or None."""
    low, high = float(values.min()), float(values.max())
    if high - low < MIN_SPREAD:
        remedy = "lower --lam" if high < 0.5 else "raise --lam or train longer"
        return f"the ranking is degenerate, all {len(values)} P(on) lie in {low:.6f}..{high:.6f}; {remedy}"
    cut = values[:k].min()
    tied = int(np.sum(np.abs(values - cut) <= TIE_TOLERANCE))
    if abs(cut - values[k:].max()) <= TIE_TOLERANCE:
        above = int(np.sum(values > cut + TIE_TOLERANCE))
        return (
            f"{tied} channels tie at the cut with P(on) = {cut:.6f}; "
            f"{above} or {above + tied} channels would be a clear choice"
        )
    return None


def _mask(
    indices: list[int],
    probabilities: ChannelProbabilities,
    cache: CacheReference | None,
    how: dict[str, Any],
    warnings: tuple[str, ...],
) -> ChannelMask:
    gated = probabilities.gated
    provenance = {
        **how,
        "run": probabilities.source,
        "images": probabilities.images,
        "warnings": list(warnings),
        "probabilities": {str(Channel.from_index(int(i))): round(float(probabilities.values[i]), 6) for i in gated},
    }
    return ChannelMask.from_indices(indices, name=f"gated-{len(indices)}", cache=cache, selection=provenance)

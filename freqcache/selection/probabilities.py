"""What gates learned: their mean probability of being open, per channel.

Xu et al. (CVPR 2020, section 3.4) pool the gates over the validation images into a probability per channel and keep
the k most probable. Channels are ranked here by the mean *probability* of being open, never by hard decisions: while
every gate is still on by arg max, the decisions are all ties.

Pure arithmetic on numbers; running the network is :func:`freqcache.training.channel_probabilities`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from freqcache.selection.rankings import Ranking, spread_out
from freqcache_formats.channels import ALL_CHANNELS

TIE_TOLERANCE = 1e-6
"""Probabilities closer than this are equal: a few float32 steps."""

MIN_SPREAD = 1e-3
"""A largest minus smallest probability below this is what the initial weights alone give (about 4e-4)."""


_MORE: Final = "a larger --lam, a --target-channels or more epochs would close more"
_LESS: Final = "a smaller --lam or a --target-channels would close less"


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelProbabilities(Ranking):
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

    name: str = "P(on)"
    open_share: npt.NDArray[np.float64]
    images: int

    absolute: ClassVar[float] = TIE_TOLERANCE
    relative: ClassVar[float] = 0.0
    least_spread: ClassVar[float] = MIN_SPREAD

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
        return cls(
            values=spread_out(indices, values),
            open_share=spread_out(indices, open_share),
            images=images,
            source=source,
        )

    @property
    def gated(self) -> npt.NDArray[np.intp]:
        """Storage indices of the channels with a gate, increasing."""
        return self.ranked

    @property
    def mask_name(self) -> str:
        """What masks cut from gates are named after."""
        return "gated"

    def show(self, value: float) -> str:
        """Return a probability for people."""
        return f"{value:.6f}"

    def degenerate(self) -> str | None:
        """Say why these gates decide nothing at all, and what to do about it, or None."""
        reason = super().degenerate()
        if reason is None:
            return None
        remedy = _LESS if self.values[self.ranked].max() < 0.5 else _MORE
        return f"{reason}; {remedy}"

    def warnings(self) -> tuple[str, ...]:
        """Return what a user must know before trusting these numbers, one sentence each."""
        count = len(self.gated)
        shares = self.open_share[self.gated]
        low, high = float(self.values[self.gated].min()), float(self.values[self.gated].max())
        span = f"P(on) lies in {low:.3f}..{high:.3f}"
        if shares.min() >= 1.0:
            return (
                f"nothing has closed: all {count} gates are on by arg max for every image, and {span}; "
                f"the ranking is only a tendency; {_MORE}",
            )
        if shares.sum() < 0.5:
            return (
                f"everything has closed: {shares.sum():.2f} of {count} gates are open per image, and {span}; "
                f"the network is nearly blind; {_LESS}",
            )
        expected = float(self.values[self.gated].sum())
        if shares.sum() < expected / 4:
            return (
                f"the gates have not decided: {shares.sum():.1f} of {count} are open per image by arg max where "
                f"sampling opens {expected:.1f}, and {span}; the gated network's own accuracy means little, the "
                f"ranking may stand; train longer, or {_LESS}",
            )
        return ()

    def provenance(self) -> dict[str, Any]:
        """Return what a mask's file says of these gates."""
        probabilities = {str(ALL_CHANNELS[i]): round(float(self.values[i]), 6) for i in self.gated.tolist()}
        return {"ranking": self.name, "run": self.source, "images": self.images, "probabilities": probabilities}

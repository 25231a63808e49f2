"""Lambda adapted until a run has as many open channels, or reads as many bytes, as it was told to.

The constraint "expected spending = budget" gets a multiplier, lambda, which rises by dual ascent while more is spent
than allowed and falls while less is: ``loss = cross-entropy + lambda * (spending - budget)``. Spending of an image is
the sum over channels of the gates' P(on), each weighted by 1 or by the channel's bytes: what the sampled gates of the
paper's term are on average, without their noise. Because lambda acts on the speed of the logits, and not on the gates
themselves, dual ascent alone would swing; a term proportional to the error damps it.

A run has four phases. In the first tenth lambda is 0 and the network learns with nearly all channels. Then the budget
descends, exponentially, from what is open to the target, which is reached at half of the run. From there it is held,
and a second term grows, ``P(on) * (2 * cut - P(on))``: it pushes gates away from the cut, the P(on) that parts the most
probable channels that the budget pays for from the others, so that those open and the others close. Decisions by arg
max then count as one half of the spending, and P(on) as the other. So a run ends decided. In its last tenth the gates
are no longer trained (only a dynamic gate's BatchNorm statistics move on): the network gets used to what was chosen.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

LEARN: Final = 0.1
REACH: Final = 0.5
COUNTED: Final = 0.6
DECIDED: Final = 0.8
FREEZE: Final = 0.9
"""Shares of the run at which the descent begins, the target is reached, decisions count as much as probabilities, the
second term is at its largest, and the gates are fixed."""

INTEGRAL: Final = 1.2
PROPORTIONAL: Final = 0.1
"""Of lambda, per unit of relative error: what it would gain over a whole run, and what is added while the error lasts.
In units of the loss, as lambda is."""

DECISION: Final = 0.05
"""Largest weight of the second term."""

LEAST: Final = 0.1
"""What is spent counts as at least so much of the budget: nothing at all would be an infinite error."""


class BudgetController:
    """Lambda and the weight of the decision term, from step to step.

    Everything stays on the device: nothing waits for it.

    Parameters
    ----------
    costs : (C,) float tensor
        What an open gate of each channel spends; any unit.
    target : float
        To be spent per image, in the same unit.
    steps : int
        Of the whole run.

    Attributes
    ----------
    unit : float
        The mean cost.
    costs : (C,) float32 tensor
        In units of the mean cost, so that lambda means the same whatever they count.
    """

    def __init__(self, costs: Tensor, target: float, steps: int) -> None:
        self.unit = float(costs.mean())
        self.costs = (costs / self.unit).float()
        self.target = target / self.unit
        self.steps = max(1, steps)
        self._integral = torch.zeros((), device=costs.device)
        self._start = torch.zeros((), device=costs.device)
        self.lam = torch.zeros((), device=costs.device)
        self.cut = torch.full((), 0.5, device=costs.device)

    def penalty(self, probabilities: Tensor, step: int) -> Tensor:
        """Return what is added to the loss, (), for P(on) of a batch, (N, C)."""
        pushed = probabilities * (2 * self.cut - probabilities)
        return self.lam * self._spending(probabilities).mean() + self.decision(step) * pushed.sum(dim=1).mean()

    def _spending(self, gates: Tensor) -> Tensor:
        return (gates * self.costs).sum(dim=-1)

    def budget(self, step: int) -> Tensor:
        """Return what may be spent at a step, ()."""
        share = (step / self.steps - LEARN) / (REACH - LEARN)
        return self._start * (self.target / self._start) ** min(1.0, max(0.0, share))

    def update(self, step: int, gates: Tensor) -> None:
        """Adapt lambda and the cut to what the gates of a step were.

        Parameters
        ----------
        step : int
        gates : (2, C) float
            Mean over the images of all processes of P(on), and of the decisions by arg max.
        """
        probabilities, decisions = self._spending(gates)  # (2,)
        self.cut = self._find_cut(gates[0])
        if step / self.steps <= LEARN:
            self._start = probabilities.clone()
            return
        share = 0.5 * min(1.0, max(0.0, (step / self.steps - REACH) / (COUNTED - REACH)))
        spent = (1 - share) * probabilities + share * decisions
        error = (spent / self.budget(step)).clamp_min(LEAST).log()
        self._integral = self._integral + INTEGRAL / self.steps * error
        self.lam = self._integral + PROPORTIONAL * error

    def _find_cut(self, probabilities: Tensor) -> Tensor:
        """Return the middle between the last P(on) that the target pays for and the first that it does not, ()."""
        ranked, order = probabilities.sort(descending=True)
        paid = (self.costs[order].cumsum(0) <= self.target).sum()
        last = (paid - 1).clamp(0, len(ranked) - 2)
        return ranked.gather(0, torch.stack([last, last + 1])).mean()  # an index on the device: nothing waits for it

    def decision(self, step: int) -> float:
        """Return the weight of the second term at a step."""
        return DECISION * min(1.0, max(0.0, (step / self.steps - REACH) / (DECIDED - REACH)))

    def trains_gates(self, step: int) -> bool:
        """Whether the gates still learn."""
        return step / self.steps < FREEZE

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"integral": self._integral, "start": self._start, "lam": self.lam, "cut": self.cut}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        names = ("integral", "start", "lam", "cut")
        self._integral, self._start, self.lam, self.cut = (state[name].to(self.costs.device) for name in names)

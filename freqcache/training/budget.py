"""Lambda adapted until a run has as many open channels, or reads as many bytes, as it was told to.

The constraint "expected spending = budget" gets a multiplier, lambda, which rises by dual ascent while more is spent
than allowed and falls while less is: ``loss = cross-entropy + lambda * (spending - budget)``. Spending of an image is
the sum over channels of the gates' P(on), each weighted by 1 or by the channel's bytes: what the sampled gates of the
paper's term are on average, without their noise. Because lambda acts on the speed of the logits, and not on the gates
themselves, dual ascent alone would swing; a term proportional to the error damps it.

A run has four phases. In the first tenth lambda is 0 and the network learns with nearly all channels. Then the budget
descends, exponentially, from what is open to the target, which is reached at half of the run. From there it is held,
and a second term grows, the gates' variance ``P(on) * (1 - P(on))``: it pushes every gate to the nearer of open and
closed, while lambda keeps their number, of which the decisions by arg max are then one half and P(on) the other. So a
run ends decided. In its last tenth the gates are no longer trained: the network gets used to what was chosen.
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

INTEGRAL: Final = 0.003
PROPORTIONAL: Final = 0.1
"""Of lambda, per unit of relative error: what it gains each step, and what is added while the error lasts. In units of
the loss, as lambda is."""

DECISION: Final = 0.05
"""Largest weight of the gates' variance."""

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

    def spending(self, gates: Tensor) -> Tensor:
        """Return the mean spending, (), of gates or of their probabilities, (N, C)."""
        return (gates * self.costs).sum(dim=1).mean()

    def spent(self, probabilities: Tensor, step: int) -> Tensor:
        """Return what counts as spent at a step, (), of P(on), (N, C): the mean, and later also the decisions."""
        share = 0.5 * min(1.0, max(0.0, (step / self.steps - REACH) / (COUNTED - REACH)))
        decided = (probabilities > 0.5).to(probabilities.dtype)
        return (1 - share) * self.spending(probabilities) + share * self.spending(decided)

    def budget(self, step: int) -> Tensor:
        """Return what may be spent at a step, ()."""
        share = (step / self.steps - LEARN) / (REACH - LEARN)
        return self._start * (self.target / self._start) ** min(1.0, max(0.0, share))

    def update(self, step: int, spent: Tensor) -> None:
        """Adapt lambda to the spending of a step, (), the mean over all processes."""
        if step / self.steps <= LEARN:
            self._start = spent.clone()
            return
        error = (spent / self.budget(step)).clamp_min(LEAST).log()
        self._integral = self._integral + INTEGRAL * error
        self.lam = self._integral + PROPORTIONAL * error

    def decision(self, step: int) -> float:
        """Return the weight of the gates' variance at a step."""
        return DECISION * min(1.0, max(0.0, (step / self.steps - REACH) / (DECIDED - REACH)))

    def trains_gates(self, step: int) -> bool:
        """Whether the gates still learn."""
        return step / self.steps < FREEZE

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"integral": self._integral, "start": self._start, "lam": self.lam}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        device = self.costs.device
        self._integral, self._start, self.lam = (state[name].to(device) for name in ("integral", "start", "lam"))

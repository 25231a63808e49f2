"""Optimizers: SGD for the network, and Adam for the gate where it has a step of its own.

Weight decay spares BatchNorm and biases (He et al., "Bag of tricks", CVPR 2019), and the gate, whose logits it would
pull toward "undecided".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from freqcache.gates import GatedNetwork
from freqcache.training.config import RunConfig

MOBILITY: Final[Mapping[str, float]] = {"dynamic": 15.0, "static": 30.0}
"""Sum of Adam's steps over a run, where there is a target: how far each parameter of a gate could move. A static gate
has two parameters a channel, a dynamic one moves by many."""

LARGEST_STEP: Final = 0.1


class Optimizers:
    """The optimizers of a run, used as one.

    Parameters
    ----------
    model : GatedNetwork
    config : RunConfig
    steps : int
        Of the whole run.
    """

    def __init__(self, model: GatedNetwork, config: RunConfig, steps: int) -> None:
        step = gate_step(config, steps)
        gate = [] if model.gate is None else list(model.gate.parameters())
        network = list(model.network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in network if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in network if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if gate and step is None:
            groups.append({"params": gate, "weight_decay": 0.0})
        self.network = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)
        # The second moment over a hundred steps, not a thousand: the weight of the gate term changes within a run.
        self.gate = None if not gate or step is None else torch.optim.Adam(gate, lr=step, betas=(0.9, 0.99))

    def _all(self) -> Iterator[torch.optim.Optimizer]:
        yield self.network
        if self.gate is not None:
            yield self.gate

    def set_rate(self, rate: float) -> None:
        """Set the network's learning rate."""
        for group in self.network.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in self._all():
            optimizer.zero_grad(set_to_none=True)

    def step(self, *, gates: bool = True) -> None:
        """Take a step by the gradients there are; not for the gate's Adam without `gates`."""
        self.network.step()
        if self.gate is not None and gates:
            self.gate.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "gate": None if self.gate is None else self.gate.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.network.load_state_dict(state["network"])
        if self.gate is not None:
            self.gate.load_state_dict(state["gate"])


def gate_step(config: RunConfig, steps: int) -> float | None:
    """Return Adam's step for the gate in a run of so many steps, or None where it is trained with the network."""
    if config.gate_lr is None and config.has_target:
        return min(LARGEST_STEP, MOBILITY[config.gate] / max(1, steps))
    return config.gate_lr


def create_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """Return a moving average of a model's weights and BatchNorm statistics; None for a decay of 0."""
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]

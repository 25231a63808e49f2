"""One step of a run: a part's gradient, the loss, and what follows when the optimizers have moved.

The loop that calls it is :mod:`freqcache.training.loop`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from freqcache.gates import NetworkOutput, gumbel_noise
from freqcache.training.collectives import mean_over_ranks
from freqcache.training.draws import MIXING, NETWORK, NOISE, Draws
from freqcache.training.parallel import gradient_sync
from freqcache.training.schedules import gate_weight, temperature
from freqcache.training.state import TrainingState


class PartDone(NamedTuple):
    """What a part leaves behind, all of it detached.

    Attributes
    ----------
    sums : (N_SUMS,) float32 tensor
        What is summed over the epoch: see :data:`freqcache.training.state.N_SUMS`.
    gates : (2, C) float32 tensor or None
        Mean over the images of P(on), and of the decisions by arg max.
    """

    sums: Tensor
    gates: Tensor | None


def train_part(state: TrainingState, stored: Any, labels: Tensor, draws: Draws, *, step: int, last: bool) -> PartDone:
    """Add a part's gradient to those of the step.

    Parameters
    ----------
    state : TrainingState
    stored, labels
        Of the process's images: (B, held, H, W) or a FrequencyBatch, and (B,).
    draws : Draws
        Where the part stands.
    step : int
        Of the optimizer, over the whole run.
    last : bool
        Whether the step has no more parts.
    """
    config, device, model = state.config, state.device, state.model
    x = state.inputs(stored.to(device, non_blocking=True), draws)  # (B, C, H, W) float32
    y = labels.to(device, non_blocking=True)
    targets = y
    if state.mixup is not None:
        x, targets = state.mixup(x, y, draws.generator(MIXING))
    noise = None
    if model.gate is not None:
        model.gate.tau = temperature(step, state.steps, config)
        shape = (draws.images, model.gate.channels, 2)
        noise = gumbel_noise(shape, device=device, generator=draws.generator(NOISE, device))[draws.rows]
    # What a network draws by itself, as for dropout: another stream on each process.
    torch.manual_seed(draws.number(NETWORK) + draws.rank)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda")
    with gradient_sync(state.parallel, last):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output: NetworkOutput = state.parallel(x, noise=noise)
        loss, done = _loss(state, output, y, targets, step)
        (loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
    return done


def take_step(state: TrainingState, step: int, gates: Tensor | None) -> None:
    """Step the optimizers, then what follows them: lambda and the moving average.

    `gates` are those of the step's last part: means over thousands of gates, which say enough.
    """
    controller = state.controller
    state.optimizers.step(gates=controller is None or controller.trains_gates(step))
    if controller is not None and gates is not None:
        controller.update(step, mean_over_ranks(gates))
    if state.average is not None:
        state.average.update_parameters(state.model)


def current_gate_weight(state: TrainingState, step: int) -> Tensor | float:
    """Return lambda at a step."""
    return gate_weight(step, state.steps, state.config) if state.controller is None else state.controller.lam


def _loss(
    state: TrainingState, output: NetworkOutput, labels: Tensor, targets: Tensor, step: int
) -> tuple[Tensor, PartDone]:
    """Return the loss, and what a part leaves behind."""
    logits = output.logits.float()
    entropy = nn.functional.cross_entropy(logits, targets, label_smoothing=state.config.label_smoothing)
    loss, expected, gates = entropy, entropy.new_zeros(()), None
    if output.gates is not None and output.probabilities is not None:
        probabilities = output.probabilities.detach()
        gates = torch.stack([probabilities, (probabilities > 0.5).float()]).mean(dim=1)
        expected = gates[0].sum()
        if state.controller is None:
            loss = entropy + current_gate_weight(state, step) * output.gates.sum(dim=1).mean()
        else:
            loss = entropy + state.controller.penalty(output.probabilities, step)
    hits = (logits.detach().argmax(dim=1) == labels).float().mean()
    return loss, PartDone(torch.stack([loss.detach(), entropy.detach(), hits, expected]), gates)

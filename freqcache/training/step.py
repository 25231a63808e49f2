"""One step of a run: a part's gradient, the loss, and what follows when the optimizers have moved.

The loop that calls it is :mod:`freqcache.training.loop`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from freqcache.gates import NetworkOutput, gumbel_noise
from freqcache.training.collectives import mean_over_ranks
from freqcache.training.draws import MIXING, NETWORK, NOISE, Draws
from freqcache.training.parallel import gradient_sync
from freqcache.training.schedules import gate_weight, temperature
from freqcache.training.state import SPENT, TrainingState


def train_part(state: TrainingState, stored: Any, labels: Tensor, draws: Draws, *, step: int, last: bool) -> Tensor:
    """Add a part's gradient to those of the step; return what is summed over the epoch, (N_SUMS,)."""
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
        loss, sums = _loss(state, output, y, targets, step)
        (loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
    return sums


def take_step(state: TrainingState, step: int, sums: Tensor) -> None:
    """Step the optimizers, then what follows them: lambda and the moving average."""
    controller = state.controller
    state.optimizers.step(gates=controller is None or controller.trains_gates(step))
    if controller is not None:
        # Of the step's last part: a mean over thousands of gates, which says enough.
        controller.update(step, mean_over_ranks(sums[SPENT]))
    if state.average is not None:
        state.average.update_parameters(state.model)


def current_gate_weight(state: TrainingState, step: int) -> Tensor | float:
    """Return lambda at a step."""
    return gate_weight(step, state.steps, state.config) if state.controller is None else state.controller.lam


def _loss(
    state: TrainingState, output: NetworkOutput, labels: Tensor, targets: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """Return the loss and, detached, what is summed: (N_SUMS,) as :data:`freqcache.training.state.N_SUMS` has it."""
    logits = output.logits.float()
    entropy = nn.functional.cross_entropy(logits, targets, label_smoothing=state.config.label_smoothing)
    loss = entropy
    expected = spent = entropy.new_zeros(())
    if output.gates is not None and output.probabilities is not None:
        expected = output.probabilities.detach().sum(dim=1).mean()
        if state.controller is None:
            loss = entropy + current_gate_weight(state, step) * output.gates.sum(dim=1).mean()
        else:
            spending = state.controller.spending(output.probabilities)
            variance = (output.probabilities * (1 - output.probabilities)).sum(dim=1).mean()
            loss = entropy + state.controller.lam * spending + state.controller.decision(step) * variance
            spent = state.controller.spent(output.probabilities.detach(), step)
    hits = (logits.detach().argmax(dim=1) == labels).float().mean()
    return loss, torch.stack([loss.detach(), entropy.detach(), hits, expected, spent])

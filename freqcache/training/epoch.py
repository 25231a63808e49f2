"""One epoch of a run, or the rest of it: batch by batch, with its metrics and the checkpoints inside it."""

from __future__ import annotations

from itertools import islice
from time import perf_counter
from typing import Final

import torch

from freqcache.training.collectives import sum_over_ranks
from freqcache.training.draws import Draws
from freqcache.training.failures import check_finite
from freqcache.training.saving import save_state
from freqcache.training.schedules import learning_rate, temperature
from freqcache.training.state import HITS, TrainingState
from freqcache.training.step import current_gate_weight, take_step, train_part

FINITE_CHECK_INTERVAL: Final = 16
"""Parts between looks at the loss on an accelerator, where each look waits for it; on a CPU every part is."""


def train_epoch(state: TrainingState, epoch: int, save_steps: int) -> dict[str, float]:
    """Train an epoch, or the rest of it; return its metrics."""
    config, device = state.config, state.device
    accumulate, per_epoch = config.accumulate, state.steps_per_epoch
    state.train_batches.set_epoch(epoch)
    state.model.train()
    state.inputs.train()
    left = per_epoch * accumulate - state.parts
    waited, begun = 0.0, perf_counter()
    asked, begun_at = begun, state.parts
    rate = 0.0
    batches = islice(iter(state.train_batches), left)
    tracked = state.reporter.track(batches, total=left, label=f"epoch {epoch + 1}/{config.epochs}")
    for stored, labels in tracked:  # (B, C, H, W) as stored or a FrequencyBatch, (B,)
        waited += perf_counter() - asked
        part = state.parts
        step = epoch * per_epoch + part // accumulate
        last = part % accumulate == accumulate - 1
        rate = learning_rate(step, state.steps, config)
        state.optimizers.set_rate(rate)
        if part % accumulate == 0:
            state.optimizers.zero_grad()
        done = train_part(state, stored, labels, _draws(state, epoch), step=step, last=last)
        if last:
            take_step(state, step, done.gates)
        state.sums += done.sums
        state.parts += 1
        ends = state.parts == per_epoch * accumulate
        saves = last and (step + 1) % save_steps == 0 and not ends
        if device.type == "cpu" or part % FINITE_CHECK_INTERVAL == 0 or ends or saves:
            check_finite(float(state.sums[0]), epoch, part // accumulate, config)
            state.reporter.status(_status(state, perf_counter() - begun, waited, state.parts - begun_at))
        asked = perf_counter()
        if saves:
            save_state(state, seconds=state.seconds + asked - begun)
    seconds = state.seconds + perf_counter() - begun
    parts = state.parts
    loss, entropy, hits, expected = (
        float(value) / (parts * state.ranks.world_size) for value in sum_over_ranks(state.sums)
    )
    state.parts, state.seconds = 0, 0.0
    state.sums = torch.zeros_like(state.sums)
    metrics = {"lr": rate, "train_loss": loss, "train_cross_entropy": entropy, "train_top1": hits}
    if config.gate != "none":
        metrics["train_gates_expected"] = expected
        metrics["lam"] = float(current_gate_weight(state, step=(epoch + 1) * per_epoch - 1))
        metrics["tau"] = temperature((epoch + 1) * per_epoch - 1, state.steps, config)
    return metrics | {
        "images_per_second": parts * state.part_images / seconds,
        "loader_share": waited / (perf_counter() - begun),
        "seconds": seconds,
    }


def _draws(state: TrainingState, epoch: int) -> Draws:
    """Return where the next part stands among all that the run draws numbers for."""
    return Draws(
        seed=state.config.seed,
        epoch=epoch,
        step=state.parts,
        images=state.part_images,
        rank=state.ranks.rank,
        world_size=state.ranks.world_size,
    )


def _status(state: TrainingState, seconds: float, waited: float, parts: int) -> str:
    """Return what stands beside a progress bar."""
    rate = parts * state.part_images / seconds
    top1 = float(state.sums[HITS]) / state.parts
    return f"{rate:.0f} images/s, loader {waited / seconds:.0%}, top-1 {top1:.3f}"

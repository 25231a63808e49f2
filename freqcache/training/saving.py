"""The state of a run, written and restored: what a checkpoint holds is :mod:`freqcache.training.checkpoint`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from freqcache.errors import TrainingError
from freqcache.remote import is_url
from freqcache.training.checkpoint import save_checkpoint
from freqcache.training.collectives import sum_over_ranks
from freqcache.training.runs import CHECKPOINT, TrainedRun
from freqcache.training.state import N_SUMS, TrainingState
from freqcache_formats.mask import CacheReference, ChannelMask


def cache_reference(state: TrainingState) -> CacheReference:
    """Return the cache of a run, by absolute path and id."""
    dataset = state.data.train.dataset
    path = dataset.cache_path
    return CacheReference(path=path if is_url(path) else str(Path(path).resolve()), id=dataset.cache_id)


def save_state(state: TrainingState, *, seconds: float = 0.0) -> None:
    """Write the run's checkpoint: see :mod:`freqcache.training.checkpoint`. Every process calls it, one writes.

    `seconds` are those that the epoch has taken so far.
    """
    sums = _sums_of_all(state)
    if not state.ranks.is_main:
        return
    kept, cache = state.kept, cache_reference(state)
    content = {
        "model": kept.network.state_dict(),
        "gate": None if kept.gate is None else kept.gate.state_dict(),
        "config": state.config.to_dict(),
        "mask": ChannelMask.of(state.channels.channels, name=state.channels.name, cache=cache).to_dict(),
        "normalization": state.normalization.to_dict(),
        "classes": list(state.data.train.dataset.classes),
        "grid": list(state.data.train.grid),
        "cache": {"path": cache.path, "id": cache.id},
        "build": dict(state.data.train.dataset.store.metadata.options),
        "epoch": len(state.history),
        "k": state.k,
        "history": state.history,
        "progress": {
            "parts": state.parts,
            "world_size": state.ranks.world_size,
            "sums": sums,
            "seconds": seconds,
            "loader": state.train_batches.state_dict(),
            "optimizers": state.optimizers.state_dict(),
            "controller": None if state.controller is None else state.controller.state_dict(),
            "trained": None if state.average is None else state.model.state_dict(),
            "averaged": None if state.average is None else int(state.average.n_averaged),
        },
    }
    save_checkpoint(state.path / CHECKPOINT, content)


def _sums_of_all(state: TrainingState) -> torch.Tensor:
    """Return the sums of every process, (world_size, N_SUMS): each goes on with its own, to the last bit."""
    table = torch.zeros((state.ranks.world_size, N_SUMS), device=state.device)
    table[state.ranks.rank] = state.sums
    return sum_over_ranks(table)


def restore_state(state: TrainingState, trained: TrainedRun) -> None:
    """Put a checkpoint's weights, optimizers, metrics and place in the epoch in place.

    Raises
    ------
    TrainingError
        If the checkpoint lacks any of them.
    """
    content = trained.checkpoint
    try:
        progress = content["progress"]
        weights = trained.model.state_dict()
        state.model.load_state_dict(weights if progress["trained"] is None else progress["trained"])
        if state.average is not None:
            state.average.module.load_state_dict(weights)
            state.average.n_averaged.fill_(progress["averaged"])
        state.optimizers.load_state_dict(progress["optimizers"])
        if state.controller is not None:
            state.controller.load_state_dict(progress["controller"])
        state.history = list(content["history"])
        state.k = int(content["k"])
        state.parts, state.seconds = int(progress["parts"]), float(progress["seconds"])
        if state.parts:
            _check_parts(state, trained, progress)
            state.train_batches.load_state_dict(progress["loader"])
            state.sums = progress["sums"][state.ranks.rank].to(state.device)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"{trained.path / CHECKPOINT}: cannot go on from it: {reason}"
        raise TrainingError(msg) from error
    if state.ranks.is_main:
        for stale in state.path.glob(f".{CHECKPOINT}.*.tmp"):  # of a run killed while it saved
            stale.unlink(missing_ok=True)
        state.log.rewrite(state.history)  # drops what a killed process wrote after the checkpoint


def _check_parts(state: TrainingState, trained: TrainedRun, progress: dict[str, Any]) -> None:
    """Refuse to go on inside an epoch with other parts than it began with."""
    if progress["world_size"] != state.ranks.world_size:
        msg = (
            f"{trained.path / CHECKPOINT}: was written inside an epoch by {progress['world_size']} processes, and "
            f"there are {state.ranks.world_size}; start as many"
        )
        raise TrainingError(msg)

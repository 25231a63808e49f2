"""The state of a training run: how it is set up, saved, restored and described.

The loop itself is :mod:`freqcache.training.loop`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import freqcache
from freqcache.errors import TrainingError
from freqcache.gates import GatedNetwork
from freqcache.models import NetworkCost, count_cost
from freqcache.normalization import Normalization
from freqcache.training.checkpoint import save_checkpoint
from freqcache.training.config import RunConfig
from freqcache.training.data import Batches, RunData, open_batches
from freqcache.training.evaluation import choose_device
from freqcache.training.inputs import InputPipeline, network_input_shape
from freqcache.training.optim import create_optimizer
from freqcache.training.report import Reporter
from freqcache.training.runs import CHECKPOINT, TrainedRun, build_network, write_metrics
from freqcache_formats.mask import CacheReference, ChannelMask


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes, or is needed, from step to step."""

    config: RunConfig
    path: Path
    data: RunData
    device: torch.device
    model: GatedNetwork
    inputs: InputPipeline
    normalization: Normalization
    optimizer: torch.optim.SGD
    train_batches: Batches
    val_batches: Batches
    augment: torch.Generator
    noise: torch.Generator
    cost: NetworkCost
    reporter: Reporter
    k: int = 24
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def channels(self) -> ChannelMask:
        """Channels the run reads, in order."""
        return self.data.train.dataset.channels


def prepare(
    config: RunConfig, path: Path, data: RunData, reporter: Reporter, *, device: str | None = None
) -> TrainingState:
    """Build the network, its inputs, the optimizer and the batches of a run.

    Weights come from torch's global generator, which the caller has seeded; `device` overrides the
    configuration's.
    """
    dataset = data.train.dataset
    where = choose_device(device or config.device)
    model = build_network(config, channels=len(dataset.channels), classes=len(dataset.classes))
    cost = count_cost(model, network_input_shape(config, len(dataset.channels), dataset.grid))
    mean, std = dataset.normalization()
    normalization = Normalization(mean=mean, std=std)
    inputs = InputPipeline(config, channels=dataset.channels, scale=dataset.scale, normalization=normalization).to(
        where
    )
    # Convolutions are 1.2 to 1.4 times faster so on a CPU, and bfloat16 ones more than that on CUDA.
    model = model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainingState(
        config=config,
        path=path,
        data=data,
        device=where,
        model=model,
        inputs=inputs,
        normalization=normalization,
        optimizer=create_optimizer(model, config),
        train_batches=open_batches(data.train, config.batch_size, shuffle=True, seed=config.seed),
        val_batches=open_batches(data.val, config.batch_size),
        augment=torch.Generator().manual_seed(config.seed),
        noise=torch.Generator(device=where).manual_seed(config.seed),
        cost=cost,
        reporter=reporter,
    )


def cache_reference(state: TrainingState) -> CacheReference:
    """Return the cache of a run, by absolute path and id."""
    dataset = state.data.train.dataset
    path = dataset.cache_path
    return CacheReference(path=path if "://" in path else str(Path(path).resolve()), id=dataset.cache_id)


def save_state(state: TrainingState) -> None:
    """Write the run's checkpoint: see :mod:`freqcache.training.checkpoint`."""
    model, cache = state.model, cache_reference(state)
    content = {
        "model": model.network.state_dict(),
        "gate": None if model.gate is None else model.gate.state_dict(),
        "config": state.config.to_dict(),
        "mask": ChannelMask.of(state.channels.channels, name=state.channels.name, cache=cache).to_dict(),
        "normalization": state.normalization.to_dict(),
        "classes": list(state.data.train.dataset.classes),
        "grid": list(state.data.train.dataset.grid),
        "cache": {"path": cache.path, "id": cache.id},
        "epoch": len(state.history),
        "k": state.k,
        "history": state.history,
        "optimizer": state.optimizer.state_dict(),
        "rng": {
            "augment": state.augment.get_state(),
            "noise": state.noise.get_state(),
            "torch": torch.get_rng_state(),
        },
    }
    save_checkpoint(state.path / CHECKPOINT, content)


def restore_state(state: TrainingState, trained: TrainedRun) -> None:
    """Put a checkpoint's weights, optimizer, metrics and generators in place.

    Raises
    ------
    TrainingError
        If the checkpoint lacks any of them.
    """
    content = trained.checkpoint
    try:
        state.model.load_state_dict(trained.model.state_dict())
        state.optimizer.load_state_dict(content["optimizer"])
        state.history = list(content["history"])
        state.k = int(content["k"])
        state.augment.set_state(content["rng"]["augment"])
        if state.noise.get_state().shape == content["rng"]["noise"].shape:  # else: another kind of device
            state.noise.set_state(content["rng"]["noise"])
        torch.set_rng_state(content["rng"]["torch"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"{trained.path / CHECKPOINT}: cannot go on from it: {reason}"
        raise TrainingError(msg) from error
    for stale in state.path.glob(f".{CHECKPOINT}.*.tmp"):  # of a run killed while it saved
        stale.unlink(missing_ok=True)
    write_metrics(state.path, state.history)  # drops what a killed process wrote after the checkpoint


def describe_run(state: TrainingState) -> dict[str, Any]:
    """Return the content of config.json."""
    dataset = state.data.train.dataset
    return {
        "format": "freqcache-run",
        "version": 1,
        "freqcache": freqcache.__version__,
        "torch": str(torch.__version__),
        "config": state.config.to_dict(),
        "cache_id": dataset.cache_id,
        "classes": list(dataset.classes),
        "grid": list(dataset.grid),
        "channels": len(state.channels),
        "bytes_per_image": dataset.bytes_per_image,
        "images": {
            "train": len(state.data.train),
            "val": len(state.data.val),
            "held_out": state.data.held_out,
        },
        "parameters": state.cost.parameters,
        "gmac": state.cost.gmac,
    }


def announce(state: TrainingState) -> None:
    """Say what is about to be trained, on what, at what cost."""
    config, data = state.config, state.data
    dataset = data.train.dataset
    rows, cols = dataset.grid
    entry = "pixels" if config.input == "rgb" else f"{len(state.channels)} channels"
    gate = ", gated" if config.gate else ""
    state.reporter.line(
        f"network    {config.arch} x{config.width:g}, strides {config.strides}, {entry} on {rows}x{cols} "
        f"blocks{gate}: {state.cost}"
    )
    state.reporter.line(
        f"data       {dataset.cache_path}: {len(data.train)} images to train on, {len(data.val)} to validate "
        f"on, {len(dataset.classes)} classes, {dataset.bytes_per_image / 1024:.1f} KiB read per image"
    )
    reference = None if config.channels is None else config.channels.cache
    if reference is not None and reference.id != dataset.cache_id:
        state.reporter.line(f"           the mask was selected on another cache, {reference.path}")
    if data.held_out:
        state.reporter.line(
            f"           one split, {data.val.name!r}: {config.val_fraction:.0%} of each class is held out"
        )
    state.reporter.line(f"run        {state.path} (seed {config.seed}, {state.device})")

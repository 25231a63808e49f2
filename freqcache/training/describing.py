"""What is said of a run before it starts: to people, and in its config.json."""

from __future__ import annotations

from typing import Any

import torch

import freqcache
from freqcache.training.state import TrainingState


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
        "grid": list(state.data.train.grid),
        "channels": len(state.channels),
        "bytes_per_image": dataset.bytes_per_image,
        "images": {
            "train": len(state.data.train),
            "val": len(state.data.val),
            "held_out": state.data.held_out,
        },
        "parameters": state.cost.parameters,
        "gmac": state.cost.gmac,
        "processes": state.ranks.world_size,
        "images_per_step": state.part_images * state.config.accumulate,
    }


def announce(state: TrainingState) -> None:
    """Say what is about to be trained, on what, at what cost."""
    config, data = state.config, state.data
    dataset = data.train.dataset
    rows, cols = data.train.grid
    entry = "pixels" if config.input == "rgb" else f"{len(state.channels)} channels"
    gate = "" if config.gate == "none" else f", {config.gate} gate"
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
    images = state.part_images * config.accumulate
    if images < config.batch_size:
        state.reporter.line(
            f"           too few images for batches of {config.batch_size}: {images} a step, at the same learning rate"
        )
    processes = "" if state.ranks.world_size == 1 else f", {state.ranks.world_size} processes"
    state.reporter.line(f"run        {state.path} (seed {config.seed}, {state.device}{processes})")

"""Run folders with random weights, so that what uses a run is tested without training one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import freqcache
from freqcache.normalization import Normalization
from freqcache.training.checkpoint import save_checkpoint
from freqcache.training.config import RunConfig
from freqcache.training.runs import CHECKPOINT, build_network
from freqcache_formats.mask import ChannelMask


def make_run(
    folder: Path,
    cache: Path,
    channels: ChannelMask,
    *,
    gate: bool = False,
    size: int | None = None,
    grid: tuple[int, int] | None = None,
    seed: int = 0,
    **options: Any,
) -> Path:
    """Write a run folder for a cache; of a gated one, about half of the gates are shut for any image."""
    store = freqcache.open(cache)
    dataset = freqcache.FrequencyDataset(cache, channels=channels, size=size)
    if gate:
        options["gate"] = "dynamic"
    config = RunConfig(cache=str(cache), size=size, channels=channels, **{"width": 0.25, **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_network(config, channels=len(channels), classes=len(store.classes))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, 0, 0.1)
                torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
        if model.gate is not None:
            torch.nn.init.normal_(model.gate.fc.bias)
    mean, std = dataset.normalization()
    folder.mkdir(parents=True)
    content = {
        "model": model.network.state_dict(),
        "gate": None if model.gate is None else model.gate.state_dict(),
        "config": config.to_dict(),
        "mask": channels.to_dict(),
        "normalization": Normalization(mean=mean, std=std).to_dict(),
        "classes": list(store.classes),
        "cache": {"path": str(cache), "id": store.id},
        "build": dict(store.metadata.options),
        "grid": list(dataset.grid if grid is None else grid),
        "epoch": 0,
        "history": [],
    }
    save_checkpoint(folder / CHECKPOINT, content)
    return folder

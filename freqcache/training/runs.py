"""Run folders: what a training run leaves behind, and how it is found again.

::

    runs/flowers5-gated-s0/
        config.json       configuration, network, cost and versions
        metrics.jsonl     one JSON object per epoch
        checkpoint.pt     see freqcache.training.checkpoint
        mask.json         gated runs: the k channels most probably open
        heatmap.png       gated runs, where matplotlib is installed
        tensorboard/      events, where TensorBoard is installed
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from freqcache.errors import FreqcacheError, TrainingError
from freqcache.gates import GATES, GatedNetwork
from freqcache.models import create_model
from freqcache.normalization import Normalization
from freqcache.training.checkpoint import load_checkpoint
from freqcache.training.config import RunConfig
from freqcache_formats.mask import CacheReference, ChannelMask

CONFIG, METRICS, CHECKPOINT, MASK, HEATMAP, TENSORBOARD = (
    "config.json",
    "metrics.jsonl",
    "checkpoint.pt",
    "mask.json",
    "heatmap.png",
    "tensorboard",
)


def default_run_path(config: RunConfig, root: Path = Path("runs")) -> Path:
    """Return a new folder name for a run: ``runs/<cache>-<what>-s<seed>``, numbered when taken."""
    gated = config.gate != "none"
    what = "gated" if gated else "rgb" if config.input == "rgb" else "192"
    if not gated and config.channels is not None:
        what = f"{len(config.channels)}-{config.channels.name}".removesuffix(f"-{len(config.channels)}")
    stem = Path(config.cache.rstrip("/")).name.removesuffix(".zarr")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{stem}-{what}-s{config.seed}")
    if not (root / name).exists():
        return root / name
    return next(root / f"{name}-{n}" for n in count(2) if not (root / f"{name}-{n}").exists())


def create_run(path: Path, document: Mapping[str, Any]) -> None:
    """Make the folder of a run and write its config.json.

    Raises
    ------
    TrainingError
        If something is there already, or the folder cannot be made.
    """
    try:
        if path.exists() and not _is_reusable(path):
            msg = f"{path}: exists already; name another folder"
            if (path / CHECKPOINT).exists():
                msg += f", or go on with --resume {path}"
            raise TrainingError(msg)
        path.mkdir(parents=True, exist_ok=True)
        (path / CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"{path}: cannot make the run folder: {error.strerror or error}"
        raise TrainingError(msg) from error


def _is_reusable(path: Path) -> bool:
    """Whether a folder is empty, or holds a run that failed before its first checkpoint, or in it."""
    if not path.is_dir():
        return False
    partial = set(path.glob(f".{CHECKPOINT}.*.tmp"))
    if not {entry.name for entry in path.iterdir() if entry not in partial} <= {CONFIG}:
        return False
    for entry in partial:
        entry.unlink(missing_ok=True)
    return True


def build_network(config: RunConfig, *, channels: int, classes: int) -> GatedNetwork:
    """Return the network of a configuration with fresh weights, drawn from torch's global generator."""
    network = create_model(
        config.arch,
        in_channels=3 if config.input == "rgb" else channels,
        num_classes=classes,
        width=config.width,
        strides=config.strides,
        input=config.input,
    )
    return GatedNetwork(network, None if config.gate == "none" else GATES[config.gate](channels, tau=config.tau))


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run read back from its folder.

    Attributes
    ----------
    path : Path
    config : RunConfig
    channels : ChannelMask
        Channels the network takes, in the order it takes them.
    normalization : Normalization
    classes : tuple of str
    grid : tuple of int
        Block rows and columns of the images it was trained on.
    cache : CacheReference
        The cache it was trained on.
    model : GatedNetwork
        With the checkpoint's weights, in evaluation mode, on the CPU.
    checkpoint : dict
        The whole content: see :mod:`freqcache.training.checkpoint`.
    """

    path: Path
    config: RunConfig
    channels: ChannelMask
    normalization: Normalization
    classes: tuple[str, ...]
    grid: tuple[int, int]
    cache: CacheReference
    model: GatedNetwork
    checkpoint: dict[str, Any]


def load_run(path: str | Path) -> TrainedRun:
    """Read a run folder.

    Raises
    ------
    TrainingError
        If it is no run folder, or its checkpoint is missing, damaged or inconsistent.
    """
    path = Path(path)
    if not path.is_dir():
        msg = f"{path}: {'not a run folder, but a file' if path.is_file() else 'no such run folder'}"
        raise TrainingError(msg)
    if not (path / CHECKPOINT).exists():
        what = "has no checkpoint yet" if (path / CONFIG).exists() else "is not a run folder"
        msg = f"{path}: {what}: expected {CHECKPOINT} in it"
        raise TrainingError(msg)
    content = load_checkpoint(path / CHECKPOINT)
    try:
        config = RunConfig.from_dict(content["config"])
        channels = ChannelMask.from_dict(content["mask"])
        classes = tuple(content["classes"])
        model = build_network(config, channels=len(channels), classes=len(classes))
        model.network.load_state_dict(content["model"])
        if model.gate is not None:
            model.gate.load_state_dict(content["gate"])
        return TrainedRun(
            path=path,
            config=config,
            channels=channels,
            normalization=Normalization.from_dict(content["normalization"]),
            classes=classes,
            grid=(int(content["grid"][0]), int(content["grid"][1])),
            cache=CacheReference(**content["cache"]),
            model=model.eval(),
            checkpoint=content,
        )
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError, FreqcacheError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path / CHECKPOINT}: inconsistent checkpoint: {reason}"
        raise TrainingError(msg) from error

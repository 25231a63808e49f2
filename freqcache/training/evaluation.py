"""Accuracy of a network on a split, and what its gates decide there.

Deterministic: no noise, no augmentation, samples in order, float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError
from freqcache.gates import GatedNetwork, NetworkOutput
from freqcache.loading.loader import FrequencyLoader
from freqcache.normalization import Normalization
from freqcache.selection import ChannelProbabilities
from freqcache.store import open_store
from freqcache.training.collectives import sum_over_ranks
from freqcache.training.config import RunConfig
from freqcache.training.data import Part, RunData, open_batches, open_data
from freqcache.training.inputs import InputPipeline
from freqcache.training.report import Reporter, SilentReporter
from freqcache.training.runs import TrainedRun, load_run
from freqcache_formats.layout import BLOCK_SIZE


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """What a network does on a split.

    Attributes
    ----------
    images : int
    loss : float
        Mean cross-entropy, without smoothing and without the gate term.
    top1, top5 : float
        Share of images whose label is the first, or among the first five, of the logits.
    probabilities : (C,) float64 or None
        Mean over images of P(on) of each gate.
    open_share : (C,) float64 or None
        Share of images for which each gate is open by arg max.
    """

    images: int
    loss: float
    top1: float
    top5: float
    probabilities: npt.NDArray[np.float64] | None = None
    open_share: npt.NDArray[np.float64] | None = None

    @property
    def channels_expected(self) -> float | None:
        """Mean over images of the sum of P(on)."""
        return None if self.probabilities is None else float(self.probabilities.sum())

    @property
    def channels_open(self) -> float | None:
        """Mean over images of the number of gates open by arg max."""
        return None if self.open_share is None else float(self.open_share.sum())


def choose_device(name: str) -> torch.device:
    """Return the device of ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    TrainingError
        If CUDA is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        msg = "no CUDA device was found; use --device cpu or auto"
        raise TrainingError(msg)
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def create_inputs(config: RunConfig, part: Part, normalization: Normalization, device: torch.device) -> InputPipeline:
    """Return what makes the network's input of the batches of a part, on a device."""
    dataset = part.dataset
    return InputPipeline(
        config,
        channels=dataset.channels,
        held=dataset.held_channels,
        scale=dataset.scale,
        normalization=normalization,
        crop=part.crop,
    ).to(device)


def evaluate_model(
    model: GatedNetwork, inputs: nn.Module, batches: FrequencyLoader, *, device: torch.device, reporter: Reporter
) -> EvalResult:
    """Run a network over the batches of all processes, in evaluation mode; its own mode is left as found.

    Parameters
    ----------
    model : GatedNetwork
    inputs : torch.nn.Module
        From stored coefficients to the network's input.
    batches : FrequencyLoader
        This process's, in any order; every sample counts once.
    device : torch.device
        Where `model` and `inputs` are.
    reporter : Reporter

    Returns
    -------
    EvalResult
    """
    training = model.training
    model.eval()
    inputs.eval()
    sums = torch.zeros(4, dtype=torch.float64)  # images, loss, top-1, top-5
    gates = torch.zeros((2, 0 if model.gate is None else model.gate.channels), dtype=torch.float64)
    with torch.no_grad():
        for stored, labels in reporter.track(batches, total=len(batches), label="validation"):
            y = labels.to(device)
            output: NetworkOutput = model(inputs(stored.to(device)))
            sums += _count(output.logits, y)
            if output.gates is not None and output.probabilities is not None:
                gates += torch.stack([output.probabilities, output.gates]).double().sum(1).cpu()
    model.train(training)
    inputs.train(training)
    sums = sum_over_ranks(sums)
    images = int(sums[0])
    probabilities, open_share = None, None
    if model.gate is not None:
        probabilities, open_share = sum_over_ranks(gates).numpy() / images
    return EvalResult(
        images=images,
        loss=float(sums[1]) / images,
        top1=float(sums[2]) / images,
        top5=float(sums[3]) / images,
        probabilities=probabilities,
        open_share=open_share,
    )


def _count(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (4,) float64: images, summed cross-entropy, and hits among the first one and five."""
    logits = logits.float()
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices  # (B, <=5)
    hits = ranked == labels[:, None]
    counts = [float(len(labels)), float(loss), float(hits[:, :1].sum()), float(hits.sum())]
    return torch.tensor(counts, dtype=torch.float64)


def open_run_data(run: TrainedRun, cache: str | None = None) -> RunData:
    """Open the data of a run's configuration, or the same parts of another cache of the same classes.

    Raises
    ------
    TrainingError
        If the cache's classes are not the checkpoint's, or another cache is where the run's own was.
    """
    where = cache or run.cache.path
    config = replace(run.config, cache=where, channels=run.channels)
    if open_store(where).kind == "fixed":
        config = replace(config, size=None, resize=None)
    elif run.config.size is None:  # it was trained on a fixed cache, whose images are validated whole
        config = replace(config, size=BLOCK_SIZE * min(run.grid), crop="none", resize=None)
    data = open_data(config)
    found = data.val.dataset.classes
    if tuple(found) != run.classes:
        msg = (
            f"{data.val.dataset.cache_path}: classes {_names(found)} differ from those of {run.path}, "
            f"{_names(run.classes)}"
        )
        raise TrainingError(msg)
    if cache is None and data.val.dataset.cache_id != run.cache.id:
        msg = (
            f"{run.path} was trained on the cache {run.cache.path} with id {run.cache.id}, "
            f"but the cache there now has id {data.val.dataset.cache_id}; name the cache to use"
        )
        raise TrainingError(msg)
    return data


def _names(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:3])
    return f"({len(classes)}: {shown}{', ...' if len(classes) > 3 else ''})"


def evaluate(
    run: str | Path | TrainedRun,
    cache: str | None = None,
    *,
    device: str = "auto",
    batch_size: int = 64,
    reporter: Reporter | None = None,
) -> EvalResult:
    """Evaluate a run's checkpoint on the validation part of its cache, or of another one.

    Parameters
    ----------
    run : path or TrainedRun
    cache : str, optional
        Path or URL of another cache of the same classes.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    batch_size : int
    reporter : Reporter, optional

    Returns
    -------
    EvalResult

    Raises
    ------
    TrainingError
        If the run or the cache does not fit.
    """
    trained = run if isinstance(run, TrainedRun) else load_run(run)
    part: Part = open_run_data(trained, cache).val
    where = choose_device(device)
    return evaluate_model(
        trained.model.to(where),
        create_inputs(trained.config, part, trained.normalization, where),
        open_batches(part, batch_size, device=where),
        device=where,
        reporter=reporter or SilentReporter(),
    )


def channel_probabilities(
    run: str | Path | TrainedRun,
    cache: str | None = None,
    *,
    device: str = "auto",
    batch_size: int = 64,
    reporter: Reporter | None = None,
) -> ChannelProbabilities:
    """Pool a gated run's gates over the validation images: mean P(on) per channel.

    Parameters
    ----------
    run, cache, device, batch_size, reporter
        As for :func:`evaluate`.

    Returns
    -------
    ChannelProbabilities

    Raises
    ------
    TrainingError
        If the run has no gates, or as for :func:`evaluate`.
    """
    trained = run if isinstance(run, TrainedRun) else load_run(run)
    result = evaluate(trained, cache, device=device, batch_size=batch_size, reporter=reporter)
    return pool_gates(trained.channels.indices, result, source=str(trained.path))


def pool_gates(indices: npt.NDArray[np.intp], result: EvalResult, *, source: str) -> ChannelProbabilities:
    """Return an evaluation's gates as probabilities of all 192 channels, NaN where there was no gate."""
    if result.probabilities is None or result.open_share is None:
        msg = f"{source}: this run has no gates, so there is nothing to select by; train one with --gate"
        raise TrainingError(msg)
    if not np.isfinite(result.probabilities).all():
        msg = f"{source}: the gates' probabilities are not finite: the run has diverged"
        raise TrainingError(msg)
    return ChannelProbabilities.of(
        indices, result.probabilities, result.open_share, images=result.images, source=source
    )

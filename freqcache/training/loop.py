"""The training loop, from top to bottom: open the data, build, step, validate, save.

Classification with SGD; with a gate the loss is that of Xu et al. (CVPR 2020, equation 3)::

    loss = cross_entropy(logits, labels) + lam * mean over the batch of (sum over channels of gates)

One process, one device. Every epoch ends with a checkpoint from which :func:`resume` goes on; on the CPU the
result is bit for bit that of an uninterrupted run with as many threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError
from freqcache.gates import NetworkOutput
from freqcache.models import NetworkCost
from freqcache.training.config import RunConfig
from freqcache.training.data import open_data, resolve_size
from freqcache.training.evaluation import EvalResult, evaluate_model, open_run_data
from freqcache.training.finish import SelectedChannels, select_channels
from freqcache.training.optim import learning_rate
from freqcache.training.report import Reporter, SilentReporter
from freqcache.training.runs import MASK, create_run, default_run_path, load_run, write_metrics
from freqcache.training.state import (
    TrainingState,
    announce,
    cache_reference,
    describe_run,
    prepare,
    restore_state,
    save_state,
)

FINITE_CHECK_INTERVAL = 16
"""Steps between looks at the loss on an accelerator, where each look waits for it; on a CPU every step is."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run left and reached.

    Attributes
    ----------
    path : Path
        The run folder.
    top1, top5 : float
        Validation accuracy after the last epoch.
    classes : int
        Number of classes.
    channels : int
        Channels read per image.
    bytes_per_image : float
        Mean stored bytes that reading one image costs.
    cost : NetworkCost
        Of the network with its gate.
    history : list of dict
        Metrics of each epoch.
    selected : SelectedChannels or None
        Mask and heat map of a gated run.
    warnings : tuple of str
        What the user was warned of.
    """

    path: Path
    top1: float
    top5: float
    classes: int
    channels: int
    bytes_per_image: float
    cost: NetworkCost
    history: list[dict[str, Any]]
    selected: SelectedChannels | None = None
    warnings: tuple[str, ...] = ()


def train(
    config: RunConfig, *, out: str | Path | None = None, k: int = 24, reporter: Reporter | None = None
) -> RunResult:
    """Train a network from scratch into a new run folder.

    The state of torch's global generator and its number of threads are as before when this returns.

    Parameters
    ----------
    config : RunConfig
    out : path, optional
        The run folder; see :func:`freqcache.training.runs.default_run_path`.
    k : int
        Channels of the mask that a gated run writes.
    reporter : Reporter, optional
        Silent without.

    Returns
    -------
    RunResult

    Raises
    ------
    TrainingError
        If the run cannot start, or its loss stops being finite.
    """
    config = resolve_size(config)
    with _isolated(config):
        data = open_data(config)
        _check_k(config, k, len(data.train.dataset.channels))
        path = default_run_path(config) if out is None else Path(out)
        state = prepare(config, path, data, reporter or SilentReporter())
        state.k = k
        rows, cols = data.train.dataset.grid
        if config.shift >= max(rows, cols):
            msg = f"shift must be less than the grid of {rows}x{cols} blocks, found {config.shift}"
            raise TrainingError(msg)
        create_run(path, describe_run(state))
        announce(state)
        return _run(state)


def resume(
    run: str | Path, *, k: int | None = None, device: str | None = None, reporter: Reporter | None = None
) -> RunResult:
    """Go on with a run from its last checkpoint to its last epoch.

    Parameters
    ----------
    run : path
        Run folder.
    k : int, optional
        Channels of the mask; the run's own by default. A finished run's mask is left alone without it.
    device : str, optional
        The run's own by default, like everything else of its configuration.
    reporter : Reporter, optional
        Silent without.

    Returns
    -------
    RunResult

    Raises
    ------
    TrainingError
        As for :func:`train`, or if the folder holds no usable checkpoint.
    """
    trained = load_run(run)
    config = trained.config
    with _isolated(config):
        data = open_run_data(trained)
        state = prepare(config, trained.path, data, reporter or SilentReporter(), device=device)
        restore_state(state, trained)
        if k is not None:
            _check_k(config, k, len(state.channels))
            state.k = k
        done = len(state.history)
        state.reporter.line(f"{trained.path}: going on after epoch {done} of {config.epochs}")
        keep = k is None and done >= config.epochs and (trained.path / MASK).exists()
        return _run(state, select=not keep)


@contextmanager
def _isolated(config: RunConfig) -> Iterator[None]:
    """Seed torch and set its threads, and undo both."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(config.seed)
        try:
            if config.threads is not None:
                torch.set_num_threads(config.threads)
            yield
        finally:
            torch.set_num_threads(threads)


def _check_k(config: RunConfig, k: int, channels: int) -> None:
    if config.gate and not 1 <= k <= channels:
        msg = f"cannot select {k} of {channels} channels"
        raise TrainingError(msg)


def _run(state: TrainingState, *, select: bool = True) -> RunResult:
    """Train the epochs that are missing, and finish."""
    config, reporter = state.config, state.reporter
    result: EvalResult | None = None
    for epoch in range(len(state.history), config.epochs):
        metrics = {"epoch": epoch + 1, **_train_epoch(state, epoch)}
        result = _validate(state)
        if not isfinite(result.loss):  # before the checkpoint: the last good one survives
            msg = f"the validation loss is not finite after epoch {epoch + 1}; {_advice(config)}"
            raise TrainingError(msg)
        metrics |= {"val_loss": result.loss, "val_top1": result.top1, "val_top5": result.top5}
        if result.channels_expected is not None and result.channels_open is not None:
            metrics |= {
                "val_gates_expected": result.channels_expected,
                "val_gates_open": result.channels_open,
            }
        state.history.append(metrics)
        save_state(state)
        write_metrics(state.path, state.history)
        reporter.line(_epoch_line(config, metrics))
    if result is None:  # resumed after the last epoch
        result = _validate(state)
    selected = None
    warnings: tuple[str, ...] = ()
    if config.gate and select:
        selected = select_channels(
            state.path, state.channels, result, k=state.k, cache=cache_reference(state), size=config.size
        )
        warnings = selected.warnings
        for warning in warnings:
            reporter.warn(warning)
    return RunResult(
        path=state.path,
        top1=result.top1,
        top5=result.top5,
        classes=len(state.data.train.dataset.classes),
        channels=len(state.channels),
        bytes_per_image=state.data.train.dataset.bytes_per_image,
        cost=state.cost,
        history=state.history,
        selected=selected,
        warnings=warnings,
    )


def _train_epoch(state: TrainingState, epoch: int) -> dict[str, float]:
    """Train one epoch; return its metrics."""
    config, device, model = state.config, state.device, state.model
    batches = state.train_batches
    batches.set_epoch(epoch)
    steps = len(batches)
    model.train()
    state.inputs.train()
    sums = torch.zeros(4, device=device)  # loss, cross-entropy, hits, expected open channels: one per step
    images, waited, rate = 0, 0.0, 0.0
    begun = asked = perf_counter()
    tracked = state.reporter.track(batches, total=steps, label=f"epoch {epoch + 1}/{config.epochs}")
    for step, (stored, labels) in enumerate(tracked):  # (B, C, H, W) as stored, (B,)
        waited += perf_counter() - asked
        x = state.inputs(stored.to(device, non_blocking=True), state.augment)  # (B, C, H, W) float32
        y = labels.to(device, non_blocking=True)
        rate = learning_rate(epoch * steps + step, config.epochs * steps, config)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp and device.type == "cuda"):
            output: NetworkOutput = model(x, generator=state.noise)
        loss, parts = _loss(output, y, config)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        sums += parts
        images += len(y)
        if device.type == "cpu" or step % FINITE_CHECK_INTERVAL == 0 or step == steps - 1:
            _check_finite(float(sums[0]), epoch, step, config)
        asked = perf_counter()
    seconds = perf_counter() - begun
    loss_mean, entropy, hits, expected = (float(value) / steps for value in sums)
    metrics = {"lr": rate, "train_loss": loss_mean, "train_cross_entropy": entropy, "train_top1": hits}
    if config.gate:
        metrics["train_gates_expected"] = expected
    return metrics | {
        "images_per_second": images / seconds,
        "loader_share": waited / seconds,
        "seconds": seconds,
    }


def _loss(output: NetworkOutput, labels: Tensor, config: RunConfig) -> tuple[Tensor, Tensor]:
    """Return the loss, and (4,) detached: loss, cross-entropy, top-1 share, expected open channels."""
    logits = output.logits.float()
    entropy = nn.functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
    loss = entropy
    expected = entropy.new_zeros(())
    if output.gates is not None and output.probabilities is not None:
        loss = entropy + config.lam * output.gates.sum(dim=1).mean()
        expected = output.probabilities.detach().sum(dim=1).mean()
    hits = (logits.detach().argmax(dim=1) == labels).float().mean()
    return loss, torch.stack([loss.detach(), entropy.detach(), hits, expected])


def _check_finite(total: float, epoch: int, step: int, config: RunConfig) -> None:
    if not isfinite(total):
        msg = f"the loss is no longer finite at epoch {epoch + 1}, step {step + 1}; {_advice(config)}"
        raise TrainingError(msg)


def _advice(config: RunConfig) -> str:
    return (
        f"try less than lr {config.lr:g}, lam {config.lam:g} or weight decay {config.weight_decay:g}, "
        f"or more than tau {config.tau:g}"
    )


def _validate(state: TrainingState) -> EvalResult:
    return evaluate_model(state.model, state.inputs, state.val_batches, device=state.device, reporter=state.reporter)


def _epoch_line(config: RunConfig, metrics: dict[str, Any]) -> str:
    width = len(str(config.epochs))
    line = (
        f"epoch {metrics['epoch']:{width}d}/{config.epochs}  loss {metrics['train_loss']:.3f}  "
        f"top-1 train {metrics['train_top1']:.3f} val {metrics['val_top1']:.3f}  "
    )
    if config.gate:
        line += f"gates {metrics['val_gates_expected']:.1f} expected {metrics['val_gates_open']:.1f} open  "
    return line + f"{metrics['images_per_second']:.0f} images/s (loader {metrics['loader_share']:.0%})"

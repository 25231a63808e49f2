"""The training loop, from top to bottom: open the data, build, step, validate, save.

Classification with SGD; with a gate the loss is that of Xu et al. (CVPR 2020, equation 3)::

    loss = cross_entropy(logits, labels) + lam * mean over the batch of (sum over channels of gates)

or, where lambda is adapted, that of :mod:`freqcache.training.budget`. One process or several, each with a device of its
own. Every epoch and every `save_steps` end with a checkpoint from which :func:`resume` goes on; on the CPU the result
is bit for bit that of an uninterrupted run with as many threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any, Final

import torch

from freqcache.errors import TrainingError
from freqcache.interruption import going_on
from freqcache.models import NetworkCost
from freqcache.selection.cuts import DEFAULT_K
from freqcache.training.collectives import broadcast_object, same_everywhere
from freqcache.training.config import RunConfig
from freqcache.training.data import open_data, resolve_channels, resolve_size
from freqcache.training.describing import announce, describe_run
from freqcache.training.distributed import Ranks, process_group
from freqcache.training.epoch import train_epoch
from freqcache.training.evaluation import EvalResult, choose_device, evaluate_model, open_run_data
from freqcache.training.failures import advice, explained_memory
from freqcache.training.finish import SelectedChannels, select_channels
from freqcache.training.parallel import buffers_from_main
from freqcache.training.report import Reporter, SilentReporter
from freqcache.training.runs import CHECKPOINT, MASK, create_run, default_run_path, load_run
from freqcache.training.saving import cache_reference, restore_state, save_state
from freqcache.training.state import TrainingState, prepare

SAVE_STEPS: Final = 1000
"""Steps between checkpoints inside an epoch."""


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
    k : int or None
        Channels that a mask of this run is to have; None where its target is in bytes.
    is_main : bool
        Whether this process is the one that speaks and writes.
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
    k: int | None = None
    is_main: bool = True


def train(
    config: RunConfig,
    *,
    out: str | Path | None = None,
    k: int | None = None,
    reporter: Reporter | None = None,
    save_steps: int = SAVE_STEPS,
) -> RunResult:
    """Train a network into a new run folder, from scratch or from an RGB network's trunk.

    The state of torch's global generator and its number of threads are as before when this returns. Started by
    torchrun, or with its variables set, the processes share the work: all of them call this alike.

    Parameters
    ----------
    config : RunConfig
    out : path, optional
        The run folder; see :func:`freqcache.training.runs.default_run_path`.
    k : int, optional
        Channels of the mask that a gated run writes: by default its target, or else 24.
    reporter : Reporter, optional
        Silent without.
    save_steps : int
        A checkpoint is written after so many steps of the optimizer, and after each epoch.

    Returns
    -------
    RunResult

    Raises
    ------
    TrainingError
        If the run cannot start, its loss stops being finite, or memory is too little.
    """
    config = resolve_size(resolve_channels(config))
    device = choose_device(config.device)
    with process_group(device.type) as ranks, _isolated(config, device):
        same_everywhere(config.to_dict() | {"k": k, "save_steps": save_steps}, "the configuration")
        data = open_data(config)
        same_everywhere(data.train.dataset.cache_id, "the cache")
        k = _choose_k(config, k, len(data.train.dataset.channels))
        path = broadcast_object(default_run_path(config) if out is None else Path(out))
        state = prepare(config, path, data, _reporter(reporter, ranks), ranks=ranks)
        state.k = k
        rows, cols = data.train.grid
        if config.crop == "none" and config.shift >= max(rows, cols):
            msg = f"shift must be less than the grid of {rows}x{cols} blocks, found {config.shift}"
            raise TrainingError(msg)
        _create(state)
        announce(state)
        try:
            return _run(state, save_steps=save_steps)
        finally:
            state.leave_ranks()


def resume(
    run: str | Path,
    *,
    k: int | None = None,
    device: str | None = None,
    reporter: Reporter | None = None,
    save_steps: int = SAVE_STEPS,
) -> RunResult:
    """Go on with a run from its last checkpoint, which may be inside an epoch, to its last epoch.

    Parameters
    ----------
    run : path
        Run folder.
    k : int, optional
        Channels of the mask; the run's own by default. A finished run's mask is left alone without it.
    device : str, optional
        The run's own by default, like everything else of its configuration.
    reporter, save_steps
        As for :func:`train`.

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
    where = choose_device(device or config.device)
    with process_group(where.type) as ranks, _isolated(config, where):
        progress = trained.checkpoint.get("progress", {})
        known = {"epochs": trained.checkpoint.get("epoch"), "parts": progress.get("parts"), "k": k}
        same_everywhere(config.to_dict() | known | {"save_steps": save_steps}, "the run")
        data = open_run_data(trained)
        # What it was initialised with is in the checkpoint, and may be gone.
        started = replace(config, init=None)
        state = prepare(started, trained.path, data, _reporter(reporter, ranks), ranks=ranks, device=device)
        state.config = config
        restore_state(state, trained)
        if k is not None:
            state.k = _choose_k(config, k, len(state.channels))
        done = len(state.history)
        inside = f", {state.parts // config.accumulate} steps into the next" if state.parts else ""
        state.reporter.line(f"{trained.path}: going on after epoch {done} of {config.epochs}{inside}")
        keep = k is None and done >= config.epochs and (trained.path / MASK).exists()
        try:
            return _run(state, select=not keep, save_steps=save_steps)
        finally:
            state.leave_ranks()


def _reporter(reporter: Reporter | None, ranks: Ranks) -> Reporter:
    """Return what speaks: one process does."""
    return reporter if reporter is not None and ranks.is_main else SilentReporter()


@contextmanager
def _isolated(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Seed torch and set its threads, and undo both."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        try:
            if config.threads is not None:
                torch.set_num_threads(config.threads)
            yield
        finally:
            torch.set_num_threads(threads)


def _choose_k(config: RunConfig, k: int | None, channels: int) -> int:
    """Return how many channels the mask of a run has: as told, or its target, or 24 at most."""
    if k is None:
        return min(channels, DEFAULT_K if config.target_channels is None else max(1, round(config.target_channels)))
    if config.gate != "none" and config.target_bytes is not None:
        msg = f"how many channels fit into {config.target_bytes:g} bytes follows from the gates; drop k={k}"
        raise TrainingError(msg)
    if config.gate != "none" and not 1 <= k <= channels:
        msg = f"cannot select {k} of {channels} channels"
        raise TrainingError(msg)
    return k


def _create(state: TrainingState) -> None:
    """Make the run folder: one process does, and all of them fail where it does."""
    problem = None
    if state.ranks.is_main:
        try:
            create_run(state.path, describe_run(state))
        except TrainingError as error:
            problem = str(error)
    problem = broadcast_object(problem)
    if problem is not None:
        raise TrainingError(problem)


def _how_to_go_on(state: TrainingState) -> str:
    if (state.path / CHECKPOINT).exists():
        return f"freqcache train --resume {quote(str(state.path))} goes on from its last checkpoint"
    return f"{state.path} has no checkpoint yet: start again"


def _run(state: TrainingState, *, select: bool = True, save_steps: int) -> RunResult:
    """Train the epochs that are missing, and finish."""
    config, reporter = state.config, state.reporter
    result: EvalResult | None = None
    with explained_memory(config), going_on(lambda: _how_to_go_on(state)):
        for epoch in range(len(state.history), config.epochs):
            metrics = {"epoch": epoch + 1, **train_epoch(state, epoch, save_steps)}
            result = _validate(state)
            if not isfinite(result.loss):  # before the checkpoint: the last good one survives
                msg = f"the validation loss is not finite after epoch {epoch + 1}; {advice(config)}"
                raise TrainingError(msg)
            metrics |= {"val_loss": result.loss, "val_top1": result.top1, "val_top5": result.top5}
            if result.channels_expected is not None and result.channels_open is not None:
                metrics |= {
                    "val_gates_expected": result.channels_expected,
                    "val_gates_open": result.channels_open,
                }
            if config.target_bytes is not None:
                metrics |= _open_bytes(state, result)
            state.history.append(metrics)
            save_state(state)
            state.log.add(state.history)
            reporter.line(_epoch_line(config, metrics))
        if result is None:  # resumed after the last epoch
            result = _validate(state)
    state.log.close()
    selected = None
    warnings: tuple[str, ...] = ()
    if config.gate != "none" and select and state.ranks.is_main:
        selected = select_channels(
            state.path,
            state.channels,
            result,
            k=state.k,
            cache=cache_reference(state),
            size=config.size,
            target=config.target_channels,
            budget=config.target_bytes,
            channel_bytes=None if config.target_bytes is None else state.data.train.dataset.channel_bytes,
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
        k=None if config.target_bytes is not None else state.k,
        is_main=state.ranks.is_main,
    )


def _open_bytes(state: TrainingState, result: EvalResult) -> dict[str, float]:
    """Return the stored bytes of the channels that an image has open, by P(on) and by arg max."""
    each = state.data.train.dataset.channel_bytes
    shares = {"val_bytes_expected": result.probabilities, "val_bytes_open": result.open_share}
    return {name: float(each @ share) for name, share in shares.items() if share is not None}


def _validate(state: TrainingState) -> EvalResult:
    if not state.config.sync_batchnorm:
        buffers_from_main(state.kept)
    return evaluate_model(
        state.kept, state.eval_inputs, state.val_batches, device=state.device, reporter=state.reporter
    )


def _epoch_line(config: RunConfig, metrics: dict[str, Any]) -> str:
    width = len(str(config.epochs))
    line = (
        f"epoch {metrics['epoch']:{width}d}/{config.epochs}  loss {metrics['train_loss']:.3f}  "
        f"top-1 train {metrics['train_top1']:.3f} val {metrics['val_top1']:.3f}  "
    )
    if config.gate != "none":
        line += f"gates {metrics['val_gates_expected']:.1f} expected {metrics['val_gates_open']:.1f} open  "
    return line + f"{metrics['images_per_second']:.0f} images/s (loader {metrics['loader_share']:.0%})"

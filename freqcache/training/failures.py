"""What stops a run, in one line that says what to do: a loss that is no number, too little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite

import torch

from freqcache.errors import TrainingError
from freqcache.training.config import RunConfig


@contextmanager
def explained_memory(config: RunConfig) -> Iterator[None]:
    """Turn what allocators raise into one line that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_little_memory(config) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's allocator on the CPU raises nothing of its own
            raise
        raise _too_little_memory(config) from error


def _too_little_memory(config: RunConfig) -> TrainingError:
    msg = (
        f"too little memory for batches of {config.batch_size} images in {config.accumulate} parts: lower "
        "--batch-size, or raise --accumulate to have the same batch in smaller parts"
    )
    return TrainingError(msg)


def check_finite(total: float, epoch: int, step: int, config: RunConfig) -> None:
    """Raise TrainingError where the sum of the losses so far is not a finite number."""
    if not isfinite(total):
        msg = f"the loss is no longer finite at epoch {epoch + 1}, step {step + 1}; {advice(config)}"
        raise TrainingError(msg)


def advice(config: RunConfig) -> str:
    """Return what to try where a loss grew beyond all bounds."""
    less = [f"lr {config.lr:g}", f"weight decay {config.weight_decay:g}"]
    if config.gate != "none" and not config.has_target:
        less.append(f"lam {config.lam:g}")
    more = "" if config.gate == "none" else f", or more than tau {config.tau:g}"
    return f"try less than {' or '.join(less)}{more}"

"""Optimizer and learning-rate schedule.

SGD with Nesterov momentum. Weight decay spares BatchNorm and biases (He et al., "Bag of tricks", CVPR 2019).
The one-cycle schedule follows Smith & Topin (2018) with cosine halves and constant momentum.
"""

from __future__ import annotations

from math import cos, pi

import torch
from torch import nn

from freqcache.training.config import RunConfig


def create_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.SGD:
    """Return SGD over two groups: weights with decay; BatchNorm's and all biases without."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    spared = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def learning_rate(step: int, steps: int, config: RunConfig) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    step : int
        0 .. steps - 1, counted over the whole run.
    steps : int
        Steps of the whole run.
    config : RunConfig
        Its peak `lr`, `schedule` and `warmup`.

    Returns
    -------
    float
    """
    rise = config.warmup * steps
    if step < rise:
        done = (step + 1) / (rise + 1)
        if config.schedule == "cosine":
            return config.lr * done
        first = config.lr / 25
        return first + (config.lr - first) * (1 - cos(pi * done)) / 2
    done = (step - rise) / max(1.0, steps - rise)
    return config.lr * (1 + cos(pi * done)) / 2

"""What changes with the steps of a run: the learning rate, the gates' temperature, the weight of the gate term.

The one-cycle schedule follows Smith & Topin (2018) with cosine halves and constant momentum.
"""

from __future__ import annotations

from math import cos, exp, log, pi

from freqcache.training.config import RunConfig


def learning_rate(step: int, steps: int, config: RunConfig) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    step : int
        0 .. steps - 1, counted over the whole run.
    steps : int
        Steps of the whole run.
    config : RunConfig
        Its peak `lr`, `schedule`, `warmup` and `milestones`.

    Returns
    -------
    float
    """
    rise = config.warmup * steps
    if step < rise:
        done = (step + 1) / (rise + 1)
        if config.schedule != "one-cycle":
            return config.lr * done
        first = config.lr / 25
        return first + (config.lr - first) * (1 - cos(pi * done)) / 2
    if config.schedule == "step":
        return config.lr * 0.1 ** sum(step >= share * steps for share in config.milestones)
    done = (step - rise) / max(1.0, steps - rise)
    return config.lr * (1 + cos(pi * done)) / 2


def temperature(step: int, steps: int, config: RunConfig) -> float:
    """Return the temperature of the Gumbel-softmax at a step: constant, or exponential from `tau` to `tau_end`."""
    if config.tau_end is None:
        return config.tau
    return config.tau * exp(log(config.tau_end / config.tau) * step / max(1, steps - 1))


def gate_weight(step: int, steps: int, config: RunConfig) -> float:
    """Return lambda at a step: it rises from 0 over the first `lam_warmup` of the steps, and is constant then."""
    rise = config.lam_warmup * steps
    return config.lam * min(1.0, (step + 1) / (rise + 1))

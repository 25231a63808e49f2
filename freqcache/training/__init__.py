"""Training, evaluation and channel probabilities: :func:`train`, :func:`resume`, :func:`evaluate`."""

from __future__ import annotations

from freqcache.recipes import recipe_names
from freqcache.training.config import RunConfig
from freqcache.training.data import holds_few_channels, resolve_cache
from freqcache.training.evaluation import EvalResult, channel_probabilities, evaluate
from freqcache.training.loop import RunResult, resume, train
from freqcache.training.recipes import load_recipe
from freqcache.training.report import Reporter, SilentReporter, TerminalReporter
from freqcache.training.runs import TrainedRun, load_run

__all__ = [
    "EvalResult",
    "Reporter",
    "RunConfig",
    "RunResult",
    "SilentReporter",
    "TerminalReporter",
    "TrainedRun",
    "channel_probabilities",
    "evaluate",
    "holds_few_channels",
    "load_recipe",
    "load_run",
    "recipe_names",
    "resolve_cache",
    "resume",
    "train",
]

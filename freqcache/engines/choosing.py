"""From what a caller names to an engine."""

from __future__ import annotations

import os
import sys
from concurrent.futures import Executor

from freqcache.engines.cluster import DaskEngine
from freqcache.engines.engine import Engine
from freqcache.engines.executor import ExecutorEngine
from freqcache.errors import BuildError
from freqcache.store.targets import Target
from freqcache.workers import Pool


def check_workers(workers: int | None, target: Target | None = None) -> int:
    """Return a number of processes that can write to a target: all cores where none is given."""
    if target is not None and target.private:
        if workers not in {None, 1}:
            msg = f"{target}: is of this process alone; workers: expected 1, found {workers}"
            raise BuildError(msg)
        return 1
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        msg = f"workers: expected at least 1, found {workers}"
        raise BuildError(msg)
    return workers


def engine_of(engine: Engine | Executor | None, workers: int | None, target: Target | None = None) -> Engine:
    """Return an engine.

    Parameters
    ----------
    engine : Engine, Executor or None
        None for processes of this machine. Of an executor no more is asked than the ``submit`` of concurrent.futures; a
        ``distributed.Client`` is taken too.
    workers : int or None
        Processes of this machine; all cores by default.
    target : Target, optional
        What they are to write to.

    Raises
    ------
    BuildError
        If both are given, or `engine` is none.
    """
    if engine is None:
        return Pool(check_workers(workers, target))
    if workers is not None:
        msg = f"workers: {workers} and an engine are given; an engine has workers of its own"
        raise BuildError(msg)
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(engine, distributed.Client):
        return DaskEngine(engine)
    if isinstance(engine, Engine):
        return engine
    if callable(getattr(engine, "submit", None)):
        return ExecutorEngine(engine)
    msg = f"engine: expected an Engine or an executor with a method submit, found {engine!r}"
    raise BuildError(msg)

"""How much faster several workers are than one on this machine, and how long they take to start: measured.

Every worker builds the same small store at the same time, which loads cores, memory and disk as a build does; one of
them builds it alone as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from freqcache.planning.measuring import MeasureTask, shard_seconds
from freqcache.planning.sampling import sampled_tree
from freqcache.sources.tree import UNSPLIT
from freqcache.spread import spread
from freqcache.workers import Pool

_FILES: Final = 48
_ROUNDS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Of `workers` processes.

    Attributes
    ----------
    workers : int
        Processes.
    start_seconds : float
        Until all have loaded their code.
    speedup : float
        Of all together over one that works alone, 1 to `workers`.
    """

    workers: int
    start_seconds: float
    speedup: float


def measure_scaling(task: MeasureTask, workers: int) -> Scaling:
    """Measure with some of a task's files.

    Parameters
    ----------
    task : MeasureTask
        What a worker builds; its store is made beside, once for each worker.
    workers : int
        At least 1; with one nothing is measured.
    """
    if workers == 1:
        return Scaling(workers=1, start_seconds=0.0, speedup=1.0)
    files = task.tree.splits[UNSPLIT]
    some = sampled_tree(task.tree, [files[i] for i in spread(len(files), _FILES)])
    tasks = [replace(task, tree=some, out=task.out.with_name(f"worker-{i}.zarr")) for i in range(workers)]
    together, alone = [], []
    with Pool(workers, apart=True) as pool:
        began = time.perf_counter()
        first = list(pool.run(shard_seconds, tasks))
        start = time.perf_counter() - began
        for _ in range(_ROUNDS):
            together.append(float(np.mean(list(pool.run(shard_seconds, tasks)))))
            alone += list(pool.run(shard_seconds, tasks[:1]))
    speedup = workers * float(np.median(alone)) / max(float(np.median(together)), 1e-9) if any(first) else workers
    return Scaling(
        workers=workers,
        start_seconds=max(0.0, start - float(np.median(together))),
        speedup=min(float(workers), max(1.0, speedup)),
    )


def wall_seconds(seconds: float, split_sizes: list[int], shard: int, scaling: Scaling) -> float:
    """Return how long workers take for shards that one worker, alone, makes in `seconds`.

    Parameters
    ----------
    seconds : float
        Of all shards.
    split_sizes : list of int
        Images of each split.
    shard : int
        Images in a shard.
    scaling : Scaling
        Of the workers.
    """
    shards = [min(shard, count - first) for count in split_sizes for first in range(0, count, shard)]
    busy = [0] * scaling.workers
    for images in shards:  # each goes to the worker that is free first, as in a build
        busy[int(np.argmin(busy))] += images
    at_once = min(scaling.workers, len(shards))
    # With fewer shards than workers there is less to share: between alone and all together.
    slower = 1.0
    if scaling.workers > 1:
        share = (at_once - 1) / (scaling.workers - 1)
        slower = 1 + share * (scaling.workers / scaling.speedup - 1)
    return seconds * max(busy) / max(1, sum(shards)) * slower

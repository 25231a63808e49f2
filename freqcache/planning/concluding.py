"""From what the sample's small store cost to the whole build: bytes, seconds, place, and what the files are.

The parts of a store scale by different numbers: chunks with the images, per-sample arrays with the files, the indexes
with row groups and shards, metadata with the splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np

from freqcache.building import BuildOptions
from freqcache.planning.estimating import Estimator
from freqcache.planning.measuring import Facts, Measured
from freqcache.planning.report import Estimate, MaskPlan, OptionPlan, Refusal, Share
from freqcache.planning.sampling import Float
from freqcache.planning.scaling import Scaling, wall_seconds
from freqcache.sources import SourceFile
from freqcache_formats.layout import ROW_GROUP_BLOCKS, ROW_GROUP_SAMPLES, SHARD_SAMPLES, Origin

TIME_FACTOR: Final = 2.0
"""20 of 21 builds took between the estimate divided and multiplied by this, on a busy machine (docs/planning.md)."""

FINISH_SECONDS_PER_FILE: Final = 12e-6
"""Of the end of a build, beside what it costs for the first file."""

_REASONS, _NAMES = 5, 3
_SAMPLING: Final = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}
_BYTES_DOUBT: Final = 0.005
"""Least half interval of bytes, as a share, where a sample stands for more files: row groups are filled otherwise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """What does not depend on the options.

    Attributes
    ----------
    listing_seconds : float
        Of the whole source.
    cold_seconds : (n,) float64
        Waiting for the disk, for each file of the sample.
    splits : list of int
        Files in each split.
    """

    listing_seconds: float
    cold_seconds: Float
    splits: list[int]


def conclude(
    options: BuildOptions,
    measured: Measured,
    estimator: Estimator,
    costs: Costs,
    scaling: Scaling,
    store: Path,
    masks: Sequence[str],
    free: int | None,
) -> OptionPlan:
    """Return the plan of one option; with masks, its small store is read."""
    n_files = sum(costs.splits)
    size = _bytes(options, measured, estimator, costs)
    seconds = _seconds(measured, estimator, costs, scaling)
    reading: tuple[MaskPlan, ...] = ()
    if masks:
        from freqcache.planning.reading import measure_reading  # loads torch

        present = measured.facts.origin != Origin.ABSENT
        share = max(estimator.share(present).value, 1 / n_files)
        reading = measure_reading(
            store,
            masks,
            estimator.mean(measured.chunk_bytes) / share,
            float(measured.chunk_bytes[present].mean()),
            measured.channel_share,
        )
    fits = None
    if free is not None:
        fits = True if size.high <= free else False if size.low > free else None
    return OptionPlan(
        label=label(options),
        options=options.to_dict(),
        bytes=size,
        seconds=Estimate(value=seconds, low=seconds / TIME_FACTOR, high=seconds * TIME_FACTOR),
        images_per_second=n_files / max(seconds, 1e-9),
        peak_memory=measured.peak,
        fits=fits,
        reading=reading,
    )


def label(options: BuildOptions) -> str:
    """Return the options of a build as they are typed, those that are the defaults left out."""
    default = BuildOptions()
    words = []
    if options.size is not None:
        words.append(f"--size {options.size}")
    elif options.extraction.max_size != default.extraction.max_size:
        words.append(f"--max-size {str(options.extraction.max_size).lower()}")
    if options.exact:
        words.append("--exact")
    if options.level != default.level:
        words.append(f"--level {options.level}")
    return " ".join(words)


def _bytes(options: BuildOptions, measured: Measured, estimator: Estimator, costs: Costs) -> Estimate:
    """Return the bytes of the store."""
    n_files = sum(costs.splits)
    variance = measured.group_variance * estimator.squared_weights
    chunks = estimator.total(measured.chunk_bytes, variance=variance)
    slots = n_files * measured.slot_share
    per_group = float(ROW_GROUP_SAMPLES)
    if options.size is None:
        per_group = max(
            1.0, ROW_GROUP_BLOCKS / max(1.0, estimator.mean(measured.blocks) / max(measured.slot_share, 1e-9)) - 0.5
        )
    groups = shards = 0
    for files in costs.splits:
        own = ceil(files * measured.slot_share / per_group)
        groups += own if options.size is None else ceil(files / SHARD_SAMPLES) * SHARD_SAMPLES // ROW_GROUP_SAMPLES
        shards += ceil(files / SHARD_SAMPLES)
    certain = (
        measured.root_bytes
        + measured.split_bytes * len(costs.splits)
        + measured.bytes_per_slot * slots
        + measured.index_bytes_per_group * groups
        + measured.index_bytes_per_shard * shards
    )
    total = chunks.plus(certain)
    if estimator.is_everything:
        return total
    half = max((total.high - total.low) / 2, _BYTES_DOUBT * total.value)
    return Estimate(value=total.value, low=max(0.0, total.value - half), high=total.value + half)


def _seconds(measured: Measured, estimator: Estimator, costs: Costs, scaling: Scaling) -> float:
    """Return the wall time of the build."""
    n_files = sum(costs.splits)
    headers = measured.header_seconds / len(measured.seconds) * n_files / scaling.speedup
    cold = estimator.total(costs.cold_seconds).value / scaling.speedup
    shards = wall_seconds(estimator.total(measured.seconds).value, costs.splits, SHARD_SAMPLES, scaling)
    finish = measured.finish_seconds * len(costs.splits) + FINISH_SECONDS_PER_FILE * n_files
    return costs.listing_seconds + scaling.start_seconds + headers + cold + shards + finish


def describe(facts: Facts, files: Sequence[SourceFile], estimator: Estimator) -> dict[str, Any]:
    """Return what a plan says of the files, by its names."""
    present = facts.origin != Origin.ABSENT
    origins = {o.name.lower(): estimator.share(facts.origin == o) for o in Origin if o is not Origin.ABSENT}
    origins["refused"] = estimator.share(~present)
    counted = Counter(facts.reasons.values())
    refusals = []
    for reason, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_REASONS]:
        numbers = [i for i, why in facts.reasons.items() if why == reason]
        chosen = np.isin(np.arange(len(files)), numbers)
        names = tuple(sorted(files[i].path for i in numbers)[:_NAMES])
        refusals.append(Refusal(reason=reason, share=estimator.share(chosen), names=names))
    found = np.array([_sampling(factors) for factors in facts.sampling.tolist()])
    sampling: dict[str, Share] = {
        str(name): estimator.share(present & (found == name)) for name in np.unique(found[present])
    }
    sides = np.sort(facts.side[present])
    return {
        "origins": origins,
        "turned": estimator.share(facts.orientation > 1),
        "sampling": dict(sorted(sampling.items(), key=lambda item: -item[1].value)),
        "sides": (int(sides[0]), int(sides[len(sides) // 2]), int(sides[-1])),
        "refusals": tuple(refusals),
    }


def _sampling(factors: list[list[int]]) -> str:
    luma, *chroma = factors
    if not any(any(pair) for pair in chroma):
        return "gray"
    if any(pair != [1, 1] for pair in chroma):
        return "other"
    return _SAMPLING.get((luma[0], luma[1]), "other")

"""Plans a build: lists the source, draws a sample, builds small stores of it, and concludes.

The small stores lie in a temporary folder that is removed however the plan ends. What is concluded is
:mod:`freqcache.planning.concluding`'s.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from freqcache.building import BuildOptions
from freqcache.building.plan import scan_files
from freqcache.engines import check_workers
from freqcache.errors import BuildError, NoSamplesError, SourceError
from freqcache.extraction import ExtractionOptions
from freqcache.planning.concluding import Costs, conclude, describe
from freqcache.planning.estimating import Estimator
from freqcache.planning.measuring import Measured, MeasureTask, measure
from freqcache.planning.report import OptionPlan, Plan, nearest_folder
from freqcache.planning.sampling import Float, Population, Sample, draw, sampled_tree
from freqcache.planning.scaling import Scaling, measure_scaling
from freqcache.progress import progress
from freqcache.remote import is_url
from freqcache.scratch import scratch_folder
from freqcache.sources import SourceFile, SourceTree, list_source
from freqcache.sources.ahead import ManyReader, read_ahead
from freqcache.sources.spool import Spool, spooled
from freqcache.spread import spread
from freqcache.workers import Pool, WorkerDiedError
from freqcache_formats.layout import ROW_GROUP_BLOCKS

DEFAULT_MASKS: Final = ("6", "24", "32", "48", "64", "192")
"""Presets that reading is measured with unless told otherwise."""

SAMPLE: Final = 256
"""Files read unless told otherwise; more of small images, until they fill a row group."""

_MOST: Final = 32
"""A sample is enlarged to at most so many times what was asked for."""

_WARM_UP: Final = 16


def default_options() -> tuple[BuildOptions, ...]:
    """Return the builds that are compared where none is asked for."""
    return (
        BuildOptions(),
        BuildOptions(extraction=ExtractionOptions(max_size=None)),
        BuildOptions(extraction=ExtractionOptions(max_size=256)),
        BuildOptions(level=5),
        BuildOptions(size=224),
        BuildOptions(size=224, exact=True),
        BuildOptions(size=448),
    )


def plan(
    source: str | Path,
    options: Sequence[BuildOptions] = (),
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    workers: int | None = None,
    out: str | Path | None = None,
    temporary: str | Path | None = None,
    masks: Sequence[str] = DEFAULT_MASKS,
    quiet: bool = False,
) -> Plan:
    """Say what a build of a source would make, and how long it would take, from some of its files.

    Parameters
    ----------
    source : path
        As for :func:`freqcache.build`.
    options : sequence of BuildOptions, optional
        Builds to compare; :func:`default_options` by default.
    sample : int
        Files to read; all of them where there are no more.
    seed : int
        Of the sample.
    workers : int, optional
        Processes that the build would have; all cores by default.
    out : path, optional
        Where the store would go: the free space there is compared, unless it is a URL.
    temporary : path, optional
        Folder for the small stores and for temporary files; the system's by default.
    masks : sequence of str
        Presets to measure reading with; none to leave it out.
    quiet : bool
        Show no progress.

    Raises
    ------
    BuildError
        If there is nothing to build, or the small stores cannot be made.
    NoSamplesError
        If none of the sampled files could be used.
    """
    began = time.perf_counter()
    workers = check_workers(workers)
    if sample < 1:
        msg = f"sample: expected at least 1, found {sample}"
        raise BuildError(msg)
    tree = list_source(source, scratch=None if temporary is None else Path(temporary))
    listing = time.perf_counter() - began
    files = tree.files
    population = Population.of(files)
    options = tuple(options) or default_options()
    try:
        with scratch_folder(temporary) as folder, Spool(folder / "sample") as spool:
            drawn = _draw(population, files, tree, options[0], sample, seed)
            chosen = [files[i] for i in drawn.numbers]
            cold = _cold_seconds(tree, chosen)
            small = sampled_tree(tree, chosen)
            # A build copies such a source first, or reads it ahead.
            if small.sequential or isinstance(small.reader, ManyReader):
                small = spooled(small, spool, quiet=True)
            costs = Costs(
                listing_seconds=listing,
                cold_seconds=cold,
                splits=[len(entries) for entries in tree.splits.values()],
            )
            free = None if out is None or is_url(out) else shutil.disk_usage(nearest_folder(out)).free
            planned, first, scaling = _measure_all(
                small, folder, options, workers, Estimator(population, drawn), costs, masks, free, quiet
            )
    except WorkerDiedError as error:
        msg = f"{source}: a worker process died (killed, or out of memory) while it built a sample"
        raise BuildError(msg) from error
    except OSError as error:
        msg = f"{folder}: {error.strerror or error}"
        raise BuildError(msg) from error
    return Plan(
        source=str(source),
        files=len(files),
        bytes=int(population.sizes.sum()),
        classes=len(tree.classes),
        splits={name: len(entries) for name, entries in tree.splits.items()},
        ignored=tree.ignored,
        empty_folders=len(tree.empty_folders),
        kinds=dict(Counter(population.names[kind] for kind in population.kinds.tolist()).most_common()),
        sampled=len(drawn),
        sampled_bytes=int(population.sizes[drawn.numbers].sum()),
        seed=seed,
        workers=workers,
        speedup=scaling.speedup,
        **describe(first.facts, chosen, Estimator(population, drawn)),
        free=free,
        options=planned,
        seconds=time.perf_counter() - began,
    )


def _draw(
    population: Population,
    files: Sequence[SourceFile],
    tree: SourceTree,
    options: BuildOptions,
    count: int,
    seed: int,
) -> Sample:
    """Draw the sample, a larger one where its images are too small to fill a row group."""
    drawn = draw(population, count, seed)
    if len(drawn) == len(population):
        return drawn
    some = [files[drawn.numbers[i]] for i in spread(len(drawn), 64)]
    lenient = replace(options.extraction, on_corrupt="skip")
    blocks = [scan[0] for scan in scan_files(tree.reader, some, lenient) if not isinstance(scan, str)]
    mean = sum(blocks) / max(1, len(blocks))
    if mean * count < ROW_GROUP_BLOCKS and mean > 0:
        return draw(population, min(count * _MOST, int(ROW_GROUP_BLOCKS / mean) + 1), seed)
    return drawn


def _cold_seconds(tree: SourceTree, chosen: Sequence[SourceFile]) -> Float:
    """Return how much longer each file takes to read the first time: what a build waits for the disk, (n,).

    At a URL, where a build reads many at the same time and each image twice (its header, and whole), the mean of that.
    """
    if isinstance(tree.reader, ManyReader):
        sound = [file for file in chosen if not file.problem]
        began = time.perf_counter()
        for _ in read_ahead(tree.reader, sound):
            pass
        return np.full(len(chosen), 2 * (time.perf_counter() - began) / max(1, len(sound)))
    times = np.zeros((2, len(chosen)))
    for each in times:
        for i, file in enumerate(chosen):
            if file.problem:
                continue
            began = time.perf_counter()
            try:
                tree.reader.read(file)
            except SourceError:
                continue
            each[i] = time.perf_counter() - began
    waited: Float = np.maximum(0.0, times[0] - times[1])
    return waited


def _measure_all(
    small: SourceTree,
    folder: Path,
    options: Sequence[BuildOptions],
    workers: int,
    estimator: Estimator,
    costs: Costs,
    masks: Sequence[str],
    free: int | None,
    quiet: bool,
) -> tuple[tuple[OptionPlan, ...], Measured, Scaling]:
    """Measure option by option, each in a fresh store."""
    (files,) = small.splits.values()
    few = sampled_tree(small, [files[i] for i in spread(len(files), _WARM_UP)])
    first: Measured | None = None
    planned = []
    warm: set[tuple[str, bool]] = set()  # machine code is loaded at the first build of a kind
    with progress(len(options) + 1, "measuring", unit="steps", quiet=quiet) as bar:
        scaling = measure_scaling(MeasureTask(tree=small, out=folder / "scaling.zarr", options=options[0]), workers)
        bar.update(1)
        with Pool(1, apart=True) as pool:
            for number, each in enumerate(options):
                task = MeasureTask(tree=small, out=folder / f"{number}.zarr", options=each, keep=bool(masks))
                if (each.kind, each.exact) not in warm:
                    list(pool.run(measure, [replace(task, tree=few, out=folder / "warm.zarr", keep=False)]))
                    warm.add((each.kind, each.exact))
                (measured,) = pool.run(measure, [task])
                if isinstance(measured, tuple):
                    raise _none_usable(small, measured)
                first = first or measured
                planned.append(conclude(each, measured, estimator, costs, scaling, task.out, masks, free))
                shutil.rmtree(task.out, ignore_errors=True)
                bar.update(1)
    if first is None:  # never: there is at least one option
        raise NoSamplesError
    return tuple(planned), first, scaling


def _none_usable(small: SourceTree, reasons: Sequence[str]) -> NoSamplesError:
    reason, count = Counter(reasons).most_common(1)[0]
    return NoSamplesError(
        f"{small.root}: none of the {small.n_files} files sampled could be used; {count} of them: {reason}"
    )

"""Running a sweep: what is not there yet, one run after the other, in one process.

A run whose checkpoint holds all its epochs is left alone, one that was begun goes on, and what failed is tried again.
A failure is a row of the results, and the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from freqcache.errors import FreqcacheError, PlotError, TrainingError
from freqcache.interruption import GOES_ON, going_on
from freqcache.models import count_cost
from freqcache.plotting.sweeps import save_sweep
from freqcache.selection import ChannelProbabilities, Selection, select_by_threshold, select_top_k
from freqcache.selection.cuts import DEFAULT_K
from freqcache.sweep.drawing import sweep_title
from freqcache.sweep.folder import MASKS, PICTURE, RESULTS, RESULTS_CSV, RUNS, SweepFolder, open_folder, read_json
from freqcache.sweep.plan import Cut, Setting, Sweep
from freqcache.sweep.rows import Row, read_rows, write_rows
from freqcache.sweep.series import plot_series
from freqcache.training.config import RunConfig
from freqcache.training.data import open_data, resolve_channels, resolve_size
from freqcache.training.inputs import network_input_shape
from freqcache.training.loop import SAVE_STEPS, RunResult, resume, train
from freqcache.training.report import Reporter, SilentReporter
from freqcache.training.runs import CHECKPOINT, CONFIG, TrainedRun, build_network, load_run
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.mask import CacheReference, ChannelMask


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What a sweep left.

    Attributes
    ----------
    path : Path
        Its folder.
    rows : tuple of Row
        By setting, mask and seed.
    pictures : tuple of Path
        Files drawn.
    warnings : tuple of str
        Of the sweep as a whole; those of a run are in its rows.
    """

    path: Path
    rows: tuple[Row, ...]
    pictures: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows without a result."""
        return tuple(row for row in self.rows if row.failed is not None)


def run_sweep(
    sweep: Sweep,
    out: str | Path,
    *,
    reporter: Reporter | None = None,
    pictures: Sequence[str | Path] = (),
    save_steps: int = SAVE_STEPS,
) -> SweepResult:
    """Run what a sweep asks for and what its folder does not hold yet.

    Every run is what :func:`freqcache.training.train` makes of the same configuration. Results are written after
    every step, so that an interruption costs what was trained since the last checkpoint.

    Parameters
    ----------
    sweep : Sweep
    out : path
        Folder, new or of the same sweep; the one there may have fewer lambdas, targets, seeds, masks and baselines.
    reporter : Reporter, optional
        Silent without.
    pictures : sequence of paths
        Further files to draw the picture into; the suffix chooses the format.
    save_steps : int
        As for :func:`freqcache.training.train`.

    Returns
    -------
    SweepResult
        Runs that failed are rows that say why.

    Raises
    ------
    TrainingError
        If the folder is another sweep's, or no run could start at all.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        msg = "a sweep trains its runs in one process; start it without torchrun"
        raise TrainingError(msg)
    speaker = reporter or SilentReporter()
    sweep = replace(sweep, base=resolve_size(resolve_channels(sweep.base)))
    network_cost(sweep.base)  # what is wrong with every run is said before the folder is made
    cache_id = open_data(sweep.base).train.dataset.cache_id
    with open_folder(Path(out), sweep, cache_id) as folder:
        work = _Work(sweep=sweep, folder=folder, reporter=speaker, save_steps=save_steps)
        rows = _run_all(work)
        drawn, warnings = _draw(rows, [folder.path / PICTURE, *map(Path, pictures)], sweep.base)
    for warning in warnings:
        speaker.warn(warning)
    return SweepResult(path=folder.path, rows=rows, pictures=drawn, warnings=warnings)


def network_cost(config: RunConfig) -> tuple[float, float]:
    """Return the stored bytes per image and the 10^9 multiply-accumulate operations of a configuration, untrained."""
    data = open_data(config)
    dataset = data.train.dataset
    with torch.device("meta"):  # neither memory nor random numbers
        network = build_network(config, channels=len(dataset.channels), classes=len(dataset.classes))
    cost = count_cost(network, network_input_shape(config, len(dataset.channels), data.train.grid))
    return dataset.bytes_per_image, cost.gmac


def _run_all(work: _Work) -> tuple[Row, ...]:
    """Run every setting with every seed; keep the results on disk up to date."""
    sweep, folder = work.sweep, work.folder
    there = read_rows(folder.path / RESULTS) if (folder.path / RESULTS).exists() else ()
    rows: dict[tuple[Setting, int], list[Row]] = {}
    for row in there:  # until its turn comes, an earlier call's row stands
        rows.setdefault((row.setting, row.seed), []).append(row)
    with going_on(GOES_ON):
        for setting, seed in sweep.order:
            rows[setting, seed] = work.rows(setting, seed)
            _write(folder, sweep, rows)
    return _write(folder, sweep, rows)


def _write(folder: SweepFolder, sweep: Sweep, rows: dict[tuple[Setting, int], list[Row]]) -> tuple[Row, ...]:
    """Write the rows in the order of the table, and return them."""
    ordered = [
        row
        for setting in sweep.settings
        for cut in sweep.cuts(setting) or (None,)
        for seed in sweep.seeds
        for row in rows.get((setting, seed), [])
        if row.cut == cut
    ]
    write_rows(folder.path / RESULTS_CSV, folder.path / RESULTS, ordered)
    return tuple(ordered)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One call: what is to be done, and where."""

    sweep: Sweep
    folder: SweepFolder
    reporter: Reporter
    save_steps: int

    def rows(self, setting: Setting, seed: int) -> list[Row]:
        """Run a setting with a seed, and the masks that come of it; failures are in the rows."""
        name = self.sweep.run_name(setting, seed)
        cuts = self.sweep.cuts(setting)
        if not cuts:
            row = Row.of(setting, seed)
            try:
                return [self._trained(row, name, self.sweep.config(setting, seed))]
            except FreqcacheError as error:
                return [self._failed(row, error)]
        rows = [replace(Row.of(setting, seed, cut), gated_run=f"{RUNS}/{name}") for cut in cuts]
        try:
            run, probabilities = self._gated(name, self.sweep.config(setting, seed), cuts[0].k)
        except FreqcacheError as error:
            return [self._failed(row, error) for row in rows]
        last = run.checkpoint["history"][-1]
        gated: dict[str, Any] = {
            "channels_expected": last["val_gates_expected"],
            "channels_open": last["val_gates_open"],
            "lam_end": last["lam"],
            "gated_top1": last["val_top1"],
            "warnings": probabilities.warnings(),
        }
        return [
            self._cut(replace(row, **gated), self.sweep.run_name(setting, seed, cut), cut, probabilities, run.cache)
            for row, cut in zip(rows, cuts, strict=True)
        ]

    def _gated(self, name: str, config: RunConfig, k: int | None) -> tuple[TrainedRun, ChannelProbabilities]:
        """Train with a gate, and keep what it learned."""
        if k is None:
            k = min(DEFAULT_K, N_CHANNELS if config.channels is None else len(config.channels))
        run, result = self._bring_to_end(name, config, k)
        if result is None and not self.folder.gates(name).exists():  # killed in between
            result = resume(run.path, k=k, reporter=self.reporter, save_steps=self.save_steps)
        if result is not None and result.selected is not None:
            self.folder.write_gates(name, result.selected.probabilities)
        return run, self.folder.read_gates(name)

    def _cut(self, row: Row, name: str, cut: Cut, probabilities: ChannelProbabilities, cache: CacheReference) -> Row:
        """Make a mask, and train on it."""
        try:
            selection = _select(probabilities, cut, cache, self.sweep.base.size)
            selection.mask.write(self.folder.path / MASKS / f"{name}.json")
            row = replace(row, mask=f"{MASKS}/{name}.json", warnings=selection.warnings, **_channels(selection.mask))
            config = self.sweep.retraining(selection.mask, row.seed)
            if self.sweep.retrain:
                return self._trained(row, name, config)
            bytes_per_image, gmac = network_cost(config)
            return replace(row, bytes_per_image=bytes_per_image, gmac=gmac)
        except FreqcacheError as error:
            return self._failed(row, error)

    def _trained(self, row: Row, name: str, config: RunConfig) -> Row:
        """Train on a mask or a baseline."""
        run, _ = self._bring_to_end(name, config, None)
        document = read_json(run.path / CONFIG)
        try:
            bytes_per_image, gmac = float(document["bytes_per_image"]), float(document["gmac"])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{run.path / CONFIG}: not the description of a run: {error!r}"
            raise TrainingError(msg) from error
        return replace(
            row,
            run=f"{RUNS}/{name}",
            bytes_per_image=bytes_per_image,
            gmac=gmac,
            top1=run.checkpoint["history"][-1]["val_top1"],
            **_channels(run.channels),
        )

    def _bring_to_end(self, name: str, config: RunConfig, k: int | None) -> tuple[TrainedRun, RunResult | None]:
        """Train what is missing of a run; return it, and its result where anything was missing."""
        path, names = self.folder.run(name), self.sweep.run_names
        place = f"[{names.index(name) + 1}/{len(names)}] {name}"
        if not (path / CHECKPOINT).exists():
            for stale in path.glob(f".{CHECKPOINT}.*.tmp"):  # of a process killed while it saved the first one
                stale.unlink(missing_ok=True)
            self.reporter.line(place)
            result = train(config, out=path, k=k, reporter=self.reporter, save_steps=self.save_steps)
            return load_run(path), result
        run = load_run(path)
        for found, where in ((run.config, CHECKPOINT), (_read_config(path / CONFIG), CONFIG)):
            if found != config:
                pairs = (
                    (field.name, getattr(found, field.name), getattr(config, field.name)) for field in fields(config)
                )
                others = ", ".join(name for name, value, expected in pairs if value != expected)
                msg = f"{path / where}: a run with another {others}; remove the folder to have it trained anew"
                raise TrainingError(msg)
        if len(run.checkpoint.get("history", ())) >= config.epochs:
            self.reporter.line(f"{place} is finished")
            return run, None
        self.reporter.line(place)
        result = resume(path, k=k, reporter=self.reporter, save_steps=self.save_steps)
        return load_run(path), result

    def _failed(self, row: Row, error: FreqcacheError) -> Row:
        reason = " ".join(str(error).split())
        self.reporter.warn(f"{row.title} failed: {reason}")
        return replace(row, failed=reason)


def _select(probabilities: ChannelProbabilities, cut: Cut, cache: CacheReference, size: int | None) -> Selection:
    if cut.threshold is not None:
        return select_by_threshold(probabilities, cut.threshold, cache=cache, size=size)
    return select_top_k(probabilities, cut.k or DEFAULT_K, cache=cache, size=size)


def _channels(mask: ChannelMask) -> dict[str, Any]:
    return {"mask_channels": len(mask), "channels": tuple(int(index) for index in mask.indices)}


def _read_config(path: Path) -> RunConfig:
    document = read_json(path).get("config")
    return RunConfig.from_dict(document if isinstance(document, dict) else {})


def _draw(rows: Sequence[Row], paths: Sequence[Path], base: RunConfig) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Draw the picture into files; return those drawn, and why others were not."""
    series = plot_series(rows)
    if not any(line.points for line in series):
        return (), ("no picture was drawn: there is no accuracy to show",)
    drawn: list[Path] = []
    warnings: list[str] = []
    for path in paths:
        try:
            save_sweep(path, series, title=sweep_title(base))
            drawn.append(path)
        except PlotError as error:  # the results are worth more than their picture
            warnings.append(f"no picture was drawn: {error}")
    return tuple(drawn), tuple(dict.fromkeys(warnings))

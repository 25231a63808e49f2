"""How runs went: loss, accuracy and open channels over their epochs, from their ``metrics.jsonl``.

Runs that differ in their seed alone are one line, their mean, with each of them faint behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from freqcache.errors import PlotError
from freqcache.plotting.style import LINES, check_picture, picture, text, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS: Final = "metrics.jsonl"
_CONFIG: Final = "config.json"
_DASHES: Final = ("-", "--", "-.", ":")
_COLUMNS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The epochs of a run.

    Attributes
    ----------
    run, name : str
        Name of the run's folder, and that name without its seed.
    cache : str or None
        Name of the cache it was trained on, where its configuration is there.
    of : str
        What must be equal in runs for them to be one line.
    epochs : tuple of dict
        Numbers by name, an epoch each.
    """

    run: str
    name: str
    cache: str | None
    of: str
    epochs: tuple[Mapping[str, float], ...]

    def values(self, name: str) -> tuple[list[float], list[float]]:
        """Return the epochs that have a number, and the numbers."""
        found = [(float(entry["epoch"]), float(entry[name])) for entry in self.epochs if name in entry]
        return [epoch for epoch, _ in found], [value for _, value in found]


def read_curves(run: str | Path) -> Curves:
    """Read the metrics of a run.

    Raises
    ------
    PlotError
        If it is no run, has done no epoch yet, or its files are damaged.
    """
    run = Path(run)
    if not run.is_dir():
        msg = f"{run}: no such run folder"
        raise PlotError(msg)
    if not (run / METRICS).is_file():
        what = "has done no epoch yet" if (run / _CONFIG).is_file() else "is not a run folder"
        msg = f"{run}: {what}: expected {METRICS} in it"
        raise PlotError(msg)
    name, seed = run.resolve().name, None
    config: dict[str, Any] = {}
    try:
        lines = (run / METRICS).read_text(encoding="utf-8").splitlines()
        epochs = tuple(_numbers(json.loads(line)) for line in lines)
        if (run / _CONFIG).is_file():
            config = dict(json.loads((run / _CONFIG).read_text(encoding="utf-8"))["config"])
            seed = config.pop("seed")
            config.pop("channels")  # a learned mask is another for each seed
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{run}: not the files of a run: {error!r}"
        raise PlotError(msg) from error
    if not epochs:
        msg = f"{run / METRICS}: has no epochs"
        raise PlotError(msg)
    if seed is not None:
        name = re.sub(rf"-s{seed}(?=-|$)", "", name)
    cache = Path(config["cache"].rstrip("/")).name if config else None
    of = json.dumps([str(run.resolve().parent), name, config], sort_keys=True)
    return Curves(run=run.resolve().name, name=name, cache=cache, of=of, epochs=epochs)


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {
        "epoch": float(entry["epoch"]),
        **{name: float(value) for name, value in entry.items() if value is not None},
    }


def save_curves(path: str | Path, runs: Sequence[Curves], *, dpi: int | None = None) -> None:
    """Draw loss and accuracy over the epochs, and open channels where runs have gates.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    runs : sequence of Curves
        At least one; a colour for each line, in their order.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    lines: dict[str, list[Curves]] = {}
    for run in runs:
        lines.setdefault(run.of, []).append(run)
    few = len(lines) <= len(LINES)
    panels = [
        ("cross-entropy, log scale", "val_loss", "train_cross_entropy"),
        ("top-1 accuracy", "val_top1", "train_top1"),
    ]
    if any("val_gates_open" in entry for run in runs for entry in run.epochs):
        panels.append(("open channels per validation image", "val_gates_open", "val_gates_expected"))
    columns = min(_COLUMNS, len(lines))
    height = 4.4 + 0.2 * -(-len(lines) // columns)
    with picture(path, width=4.4 * len(panels) + 0.2, height=height, dpi=dpi) as figure:
        drawn = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (label, solid, dotted) in zip(drawn, panels, strict=True):
            for number, group in enumerate(lines.values()):
                style = {"color": LINES[number % len(LINES)], "linestyle": _DASHES[number // len(LINES) % len(_DASHES)]}
                _draw_mean(axes, group, solid, style, label=_label(group))
                if few:  # of more lines only what matters most
                    _draw_each(axes, group, solid, style["color"])
                    _draw_mean(axes, group, dotted, {**style, "linestyle": (0, (1, 1.5)), "linewidth": 1.1}, label=None)
            if solid == "val_loss":
                axes.set_yscale("log")
                _plain_numbers(axes)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            whole, dots = ("by arg max", "sum of P(on)") if solid == "val_gates_open" else ("validation", "training")
            axes.set_title(f"solid: {whole}; dotted: {dots}" if few else whole, fontsize=9)
            _whole_epochs(axes)
            tidy(axes)
        handles, labels = drawn[1].get_legend_handles_labels()
        figure.suptitle(_title(runs, lines))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def draw_curves(runs: Sequence[str | Path], path: str | Path, *, dpi: int | None = None) -> None:
    """Read the metrics of runs and draw them: :func:`read_curves`, then :func:`save_curves`."""
    check_picture(path)
    save_curves(path, [read_curves(run) for run in runs], dpi=dpi)


def _label(group: Sequence[Curves]) -> str:
    return text(group[0].run, 48) if len(group) == 1 else f"{text(group[0].name, 48)} ({len(group)} runs)"


def _title(runs: Sequence[Curves], lines: Mapping[str, Sequence[Curves]]) -> str:
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    caches = {run.cache for run in runs}
    on = f" on {text(caches.pop() or '', 40)}" if len(caches) == 1 and None not in caches else ""
    means = "" if len(runs) == len(lines) else "; runs that differ in their seed alone are one line, their mean"
    return f"{count}{on}{means}"


def _draw_mean(axes: Axes, group: Sequence[Curves], name: str, style: Mapping[str, Any], label: str | None) -> None:
    """Draw the mean over runs, for the epochs that all of them have."""
    found = [run.values(name) for run in group]
    found = [(epochs, values) for epochs, values in found if epochs]
    if not found:
        return
    common = sorted(set.intersection(*(set(epochs) for epochs, _ in found)))
    means = [float(np.mean([values[epochs.index(epoch)] for epochs, values in found])) for epoch in common]
    marker = "o" if len(common) == 1 else ""
    axes.plot(common, means, label=label, marker=marker, markersize=4, zorder=3, **{"linewidth": 1.7, **style})


def _draw_each(axes: Axes, group: Sequence[Curves], name: str, colour: str) -> None:
    """Draw each of several runs faintly."""
    for run in group if len(group) > 1 else ():
        axes.plot(*run.values(name), color=colour, alpha=0.3, linewidth=0.8, zorder=2)


def _plain_numbers(axes: Axes) -> None:
    """Write the numbers of a logarithmic axis as 0.5, 1, 2."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _whole_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))

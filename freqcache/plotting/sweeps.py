"""The picture of a sweep: accuracy against channels kept, and against bytes read per image.

Draws plain numbers. They come from the rows of a sweep by :func:`freqcache.sweep.plot_series`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from freqcache.plotting.style import BLACK, BLUE, GREEN, NUMBERS, RED, number_axis, picture, text, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRAY: Final = "#5a5a5a"
_DODGE: Final = 0.05
"""Octaves between the points of several lambdas at the same number of channels."""

_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "target": {"color": RED, "marker": "o", "linewidth": 2},
    "threshold": {"marker": "^", "linewidth": 1.5},
    "gated": {"color": _GRAY, "marker": "v", "linewidth": 1.2, "linestyle": ":"},
    "squares": {"color": BLUE, "marker": "s", "linewidth": 1.5, "linestyle": "--"},
    "mask": {"color": GREEN, "marker": "D", "linestyle": ""},
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting and mask: a number of each for every seed that has an accuracy.

    Attributes
    ----------
    channels, kib, top1 : tuple of float
        Channels kept; KiB read per image, empty where they are not known; validation accuracy.
    """

    channels: tuple[float, ...]
    kib: tuple[float, ...]
    top1: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line of the picture, or, for RGB, a height.

    Attributes
    ----------
    kind : str
        ``"lambda"``, ``"target"``, ``"threshold"``: networks trained on learned masks; ``"gated"``: gated networks
        themselves, where none was trained on a mask; ``"squares"``, ``"mask"``, ``"rgb"``: baselines.
    label : str
    points : tuple of Point
        By mean channels.
    """

    kind: str
    label: str
    points: tuple[Point, ...]


def thin_ticks(values: Iterable[float], count: int = 9) -> list[float]:
    """Return those of some positive numbers, increasing, that have room for their labels on a logarithmic axis.

    At most about `count` of them; the first always stays.
    """
    ordered = sorted(set(values))
    if not ordered:
        return []
    room = max(log2(ordered[-1] / ordered[0]) / count, 0.05)
    kept = ordered[:1]
    for value in ordered[1:]:
        if log2(value / kept[-1]) >= room:
            kept.append(value)
    return kept


def round_ticks(values: Iterable[float]) -> list[float]:
    """Return powers of two, and their halves more, in the range of some positive numbers, with room for labels.

    The numbers themselves where there would be less than two.
    """
    numbers = sorted(values)
    if not numbers:
        return []
    first, last = floor(log2(numbers[0])), ceil(log2(numbers[-1]))
    found = [share * 2.0**n for n in range(first, last + 1) for share in (1, 1.5)]
    found = [value for value in found if 0.9 * numbers[0] <= value <= 1.1 * numbers[-1]]
    return thin_ticks(found if len(found) > 1 else numbers)


def save_sweep(path: str | Path, series: Sequence[Series], *, title: str = "", dpi: int | None = None) -> None:
    """Draw accuracy against channels kept, and against KiB per image where they are known.

    Means over seeds, with each seed as a faint point.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    series : sequence of Series
        At least one.
    title : str
        What the sweep is.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    with_bytes = any(point.kib for line in series for point in line.points if line.kind != "rgb")
    columns = 4 if with_bytes else 2
    lines_of_legend = -(-len(series) // columns)
    with picture(path, width=12 if with_bytes else 6.5, height=4.9 + 0.2 * lines_of_legend, dpi=dpi) as figure:
        import matplotlib as mpl

        styles = _styles(series, mpl.colormaps[NUMBERS])
        panels = figure.subplots(1, 2 if with_bytes else 1, sharey=True, squeeze=False)[0]
        _panel(panels[0], series, styles, lambda point: point.channels, "channels kept", dodge=True)
        panels[0].set_ylabel("top-1 accuracy on the validation images")
        if with_bytes:
            _panel(panels[1], series, styles, lambda point: point.kib, "KiB read per image", dodge=False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))
        over = _over([len(point.top1) for line in series for point in line.points])
        figure.suptitle(f"{text(title)}: {over}" if title else over)


def _over(seeds: Sequence[int]) -> str:
    """Say how many seeds the points are means of."""
    if max(seeds) == 1:
        return "one seed"
    count = str(max(seeds)) if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    return f"mean of {count} seeds, each a faint point"


def _styles(series: Sequence[Series], colours: Callable[[float], Any]) -> list[dict[str, Any]]:
    """Return how each line is drawn: lambdas and thresholds from dark to bright."""
    styles: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for line in series:
        order = seen[line.kind] = seen.get(line.kind, -1) + 1
        style = dict(_STYLES.get(line.kind, {"marker": "o", "linewidth": 2}))
        if "color" not in style:
            several = sum(other.kind == line.kind for other in series) - 1
            style["color"] = colours(0.1 + 0.75 * order / several if several else 0.4)
        if line.kind == "mask":
            style["marker"] = "DPX*"[order % 4]
        styles.append(style)
    return styles


def _panel(
    panel: Axes,
    series: Sequence[Series],
    styles: Sequence[Mapping[str, Any]],
    place: Callable[[Point], tuple[float, ...]],
    label: str,
    *,
    dodge: bool,
) -> None:
    """Draw one panel."""
    lambdas = [line for line in series if line.kind == "lambda"]
    shown: set[float] = set()
    reached: list[float] = []
    for line, style in zip(series, styles, strict=True):
        if line.kind == "rgb":
            top1 = line.points[0].top1
            named = line.label if len(top1) == 1 else f"{line.label}, its seeds shaded"
            panel.axhline(mean(top1), color=BLACK, linestyle="-.", linewidth=1.2, label=named)
            if len(top1) > 1:
                panel.axhspan(min(top1), max(top1), color=BLACK, alpha=0.08, linewidth=0)
            continue
        shift = 1.0
        if dodge and line.kind == "lambda":  # lambdas have the same numbers of channels: side by side
            shift = 2 ** (_DODGE * (lambdas.index(line) - (len(lambdas) - 1) / 2))
        points = [point for point in line.points if place(point)]
        reached += [x for point in points for x in place(point)]
        shown.update(float(f"{mean(place(point)):.3g}") for point in points)
        panel.plot(
            [mean(place(point)) * shift for point in points],
            [mean(point.top1) for point in points],
            label=text(line.label),
            markersize=6,
            zorder=3,
            **style,
        )
        for point in points:
            if len(point.top1) > 1:
                places = [x * shift for x in place(point)]
                panel.scatter(places, point.top1, s=22, color=style["color"], alpha=0.35, linewidths=0, zorder=2)
    ticks = thin_ticks(shown, 16) if dodge else round_ticks(reached)
    number_axis(panel, ticks, [f"{tick:g}" for tick in ticks])
    panel.set_xlabel(label)
    tidy(panel)

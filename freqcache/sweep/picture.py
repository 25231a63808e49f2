"""The picture of a sweep: accuracy against channels kept, and against bytes read per image.

Needs matplotlib, the extra ``plot``. What is drawn is :func:`plot_series`, plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

from freqcache.errors import TrainingError
from freqcache.plotting import MissingPlotExtra
from freqcache.sweep.plan import RGB, Setting, number
from freqcache.sweep.rows import Row
from freqcache.sweep.table import group_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SQUARES: Final = frozenset({"6", "24", "24-square", "32", "48", "64", "192", "all"})
"""Presets of the lowest frequencies, and all channels: one line."""

LEAST_OPEN: Final = 0.5
"""Open channels below which a gated network has no place on a logarithmic axis."""

_DODGE: Final = 0.05
"""Octaves between the points of several lambdas at the same number of channels."""

_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "target": {"color": "#c8102e", "marker": "o", "linewidth": 2},
    "threshold": {"marker": "^", "linewidth": 1.5},
    "gated": {"color": "#5a5a5a", "marker": "v", "linewidth": 1.2, "linestyle": ":"},
    "squares": {"color": "#1f5fa8", "marker": "s", "linewidth": 1.5, "linestyle": "--"},
    "mask": {"color": "#2a8a57", "marker": "D", "linestyle": ""},
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


def plot_series(rows: Iterable[Row]) -> tuple[Series, ...]:
    """Return what the picture of some results shows.

    Parameters
    ----------
    rows : iterable of Row
        Rows without an accuracy show nothing.

    Returns
    -------
    tuple of Series
        Learned masks first, then baselines; none without points.
    """
    rows = tuple(rows)
    lines: dict[tuple[str, str], list[Point | None]] = {}
    if any(row.top1 is not None for row in rows if row.cut is not None):
        for group in group_rows(rows).values():
            lines.setdefault(_line(group[0]), []).append(_point(group))
    else:
        settings: dict[Setting, dict[int, Row]] = {}  # several masks are of one gated run
        for row in rows:
            settings.setdefault(row.setting, {})[row.seed] = row
        for group in (list(seeds.values()) for seeds in settings.values()):
            if group[0].cut is None:
                lines.setdefault(_line(group[0]), []).append(_point(group))
            else:
                lines.setdefault(("gated", "gated networks, channels open"), []).append(_gated_point(group))
    return _sorted(lines)


def _sorted(lines: Mapping[tuple[str, str], Sequence[Point | None]]) -> tuple[Series, ...]:
    """Return the series of lines that have points, the points by channels."""
    found = ((key, [point for point in points if point is not None]) for key, points in lines.items())
    return tuple(
        Series(kind=kind, label=label, points=tuple(sorted(points, key=lambda point: mean(point.channels))))
        for (kind, label), points in found
        if points
    )


def _line(row: Row) -> tuple[str, str]:
    """Return the kind and the label of the line that a row belongs to."""
    if row.kind == "target":
        return "target", "learned, to a target"
    if row.threshold is not None:
        return "threshold", f"learned, P(on) > {number(row.threshold)}"
    if row.lam is not None:
        return "lambda", f"learned, lambda {number(row.lam)}"
    if row.baseline == RGB:
        return "rgb", "RGB"
    if row.baseline in SQUARES:
        return "squares", "square presets"
    return "mask", row.setting.label


def _point(rows: Sequence[Row]) -> Point | None:
    found = [
        (float(row.mask_channels), row.bytes_per_image / 1024, row.top1)
        for row in rows
        if row.top1 is not None and row.mask_channels is not None and row.bytes_per_image is not None
    ]
    return _collect(found)


def _gated_point(rows: Sequence[Row]) -> Point | None:
    found = [
        (row.channels_open, None, row.gated_top1)
        for row in rows
        if row.gated_top1 is not None and row.channels_open is not None and row.channels_open >= LEAST_OPEN
    ]
    return _collect(found)


def _collect(found: Sequence[tuple[float, float | None, float]]) -> Point | None:
    if not found:
        return None
    return Point(
        channels=tuple(channels for channels, _, _ in found),
        kib=tuple(kib for _, kib, _ in found if kib is not None),
        top1=tuple(top1 for _, _, top1 in found),
    )


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


def save_picture(path: str | Path, series: Sequence[Series], *, title: str = "") -> None:
    """Draw accuracy against channels kept, and against KiB per image where they are known.

    Means over seeds, with each seed as a faint point.

    Parameters
    ----------
    path : path
        Image file to write; its suffix chooses the format.
    series : sequence of Series
    title : str

    Raises
    ------
    MissingPlotExtra
        If matplotlib is not installed.
    TrainingError
        If the file cannot be written.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "matplotlib is not installed: pip install 'freqcache[plot]'"
        raise MissingPlotExtra(msg) from error
    styles = _styles(series, mpl.colormaps["viridis"])
    with_bytes = any(point.kib for line in series for point in line.points if line.kind != "rgb")
    figure = Figure(figsize=(13 if with_bytes else 7, 5.6), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2 if with_bytes else 1, sharey=True, squeeze=False)[0]
    _panel(panels[0], series, styles, lambda point: point.channels, "channels kept", dodge=True)
    panels[0].set_ylabel("validation top-1")
    if with_bytes:
        _panel(panels[1], series, styles, lambda point: point.kib, "KiB read per image", dodge=False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    seeds = max(len(point.top1) for line in series for point in line.points)
    over = "one seed" if seeds == 1 else f"mean of {seeds} seeds, each a faint point"
    figure.suptitle(f"{title}: {over}" if title else over, fontsize=12)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot write the picture: {error}"
        raise TrainingError(msg) from error


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
    for line, style in zip(series, styles, strict=True):
        if line.kind == "rgb":
            height = mean(line.points[0].top1)
            panel.axhline(height, color="black", linestyle="-.", linewidth=1.2, label=line.label)
            continue
        shift = 1.0
        if dodge and line.kind == "lambda":  # lambdas have the same numbers of channels: side by side
            shift = 2 ** (_DODGE * (lambdas.index(line) - (len(lambdas) - 1) / 2))
        points = [point for point in line.points if place(point)]
        shown.update(float(f"{mean(place(point)):.3g}") for point in points)
        panel.plot(
            [mean(place(point)) * shift for point in points],
            [mean(point.top1) for point in points],
            label=line.label,
            markersize=7,
            zorder=3,
            **style,
        )
        for point in points:
            if len(point.top1) > 1:
                places = [x * shift for x in place(point)]
                panel.scatter(places, point.top1, s=22, color=style["color"], alpha=0.35, linewidths=0, zorder=2)
    panel.set_xscale("log", base=2)
    ticks = thin_ticks(shown, 16 if dodge else 8)  # whole numbers are short
    panel.set_xticks(ticks, [number(tick) for tick in ticks])
    panel.set_xticks([], minor=True)
    panel.set_xlabel(label)
    panel.grid(visible=True, color="#dddddd", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)

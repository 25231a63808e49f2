"""What a sweep's rows look like as lines: accuracy against channels kept, and against bytes read per image.

Plain numbers; drawing them is :mod:`freqcache.plotting.sweeps`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Final

from freqcache.plotting.sweeps import Point, Series
from freqcache.sweep.plan import RGB, Setting, number
from freqcache.sweep.rows import Row
from freqcache.sweep.table import group_rows

SQUARES: Final = frozenset({"6", "24", "24-square", "32", "48", "64", "192", "all"})
"""Presets of the lowest frequencies, and all channels: one line."""

LEAST_OPEN: Final = 0.5
"""Open channels below which a gated network has no place on a logarithmic axis."""


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

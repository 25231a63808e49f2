"""Heat maps of numbers per channel: three 8x8 panels, Y, Cb and Cr, as in figure 5 of Xu et al. (CVPR 2020).

Several numbers can be drawn above each other: what gates chose beside the energy of the channels, say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.plotting.style import NUMBERS, RED, SIGNED, picture, text
from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS, N_CHANNELS
from freqcache_formats.mask import ChannelMask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import FigureBase

_WIDTH: Final = 12.6
_ROW_HEIGHT: Final = 4.6
"""Inches: a cell's number has room in its cell."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatRow:
    """One number per channel, to be drawn as a row of three panels.

    Attributes
    ----------
    values : (192,) float64
        In storage order; NaN cells stay empty.
    title, label : str
        Above the panels, and beside the colour bar.
    log : bool
        Colours by the logarithm; zeros take the lowest colour.
    signed : bool
        Two colours that part at zero, linear near it and logarithmic beyond.
    limits : (float, float) or None
        Ends of the colours; those of the values by default.
    selected : ChannelMask or None
        Channels to outline.
    """

    values: npt.NDArray[np.float64]
    title: str
    label: str
    log: bool = False
    signed: bool = False
    limits: tuple[float, float] | None = None
    selected: ChannelMask | None = None


def component_grids(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Arrange a number per channel as images of frequencies.

    Parameters
    ----------
    values : (192,) float64
        In storage order.

    Returns
    -------
    (3, 8, 8) float64
        Component (Y, Cb, Cr), vertical frequency v, horizontal frequency u.
    """
    if values.shape != (N_CHANNELS,):
        msg = f"expected one number for each of {N_CHANNELS} channels, found shape {values.shape}"
        raise ValueError(msg)
    grids = np.empty((3, 8, 8))
    for channel, value in zip(ALL_CHANNELS, values, strict=True):
        grids[COMPONENTS.index(channel.component), channel.v, channel.u] = value
    return grids


def save_heatmap(
    path: str | Path,
    values: npt.NDArray[np.float64],
    *,
    selected: ChannelMask | None = None,
    title: str = "P(on)",
    label: str = "mean probability of an open gate",
) -> None:
    """Draw the heat map of one number per channel: :func:`save_heatmaps` of a single row.

    Parameters
    ----------
    path : path
        As for :func:`save_heatmaps`.
    values : (192,) float64
        In storage order; NaN cells stay empty.
    selected : ChannelMask, optional
        Channels to outline.
    title, label : str
        Above the panels, and beside the colour bar.
    """
    save_heatmaps(path, [HeatRow(values=values, title="", label=label, selected=selected)], title=title)


def save_heatmaps(path: str | Path, rows: Sequence[HeatRow], *, title: str = "", dpi: int | None = None) -> None:
    """Draw one or more numbers per channel, each a row of three panels.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    rows : sequence of HeatRow
        From top to bottom.
    title : str
        Above everything; how many channels are outlined is said behind it, where that is the same in all rows.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    counts = {None if row.selected is None else len(row.selected) for row in rows} - {None}
    subtitle = f", {counts.pop()} channels outlined" if len(counts) == 1 else ""
    with picture(path, width=_WIDTH, height=heatmaps_height(rows), dpi=dpi) as figure:
        draw_heatmaps(figure, rows)
        figure.suptitle(text(title, 100) + subtitle)


def heatmaps_height(rows: Sequence[HeatRow]) -> float:
    """Return the inches that some rows take, with a title."""
    return _ROW_HEIGHT * len(rows) + 0.4


def draw_heatmaps(figure: FigureBase, rows: Sequence[HeatRow]) -> None:
    """Draw rows of heat maps into a figure of :func:`picture`, or a part of one, that holds nothing yet."""
    panels = figure.subplots(len(rows), 3, squeeze=False)
    for places, row in zip(panels, rows, strict=True):
        image: Any = None
        scale, decimals = _scale(row), _decimals(row.values)
        for component, panel, grid in zip(COMPONENTS, places, component_grids(row.values), strict=True):
            image = _draw(panel, grid, scale, SIGNED if row.signed else NUMBERS, decimals)
            _outline(panel, component, row.selected)
        places[0].set_ylabel("v (vertical frequency)")
        if row.title:
            # As the title of the middle panel: constrained layout keeps its height free, whatever its width.
            places[1].set_title(f"{text(row.title, 120)}\n{places[1].get_title()}", linespacing=1.5)
        bar = figure.colorbar(image, ax=list(places), shrink=0.85, pad=0.015)
        bar.set_label(text(row.label))


def _scale(row: HeatRow) -> Normalize:
    """Return the row's scale of colours: from the least to the largest number that it can show."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    shown = row.values[np.isfinite(row.values)]
    if row.log:
        shown = shown[shown > 0]
    if row.signed:
        most = float(np.abs(shown).max(initial=0)) or 1.0
        return SymLogNorm(most / 1000, vmin=-most, vmax=most, base=10, clip=True)
    low, high = row.limits or ((float(shown.min()), float(shown.max())) if shown.size else (0.5, 1.0))
    # One colour: give the bar some extent around it. What a float32 normalization makes of 1 is one colour too.
    if high - low < 1e-6 * max(1e-3, abs(high)):
        low, high = (low / 2, high * 2) if row.log else (low - 0.5, high + 0.5)
    return LogNorm(low, high, clip=True) if row.log else Normalize(low, high, clip=True)


def _draw(panel: Axes, grid: npt.NDArray[np.float64], scale: Normalize, colours: str, decimals: int) -> Any:
    """Draw one component's 8x8 numbers, each written into its cell."""
    image = panel.imshow(grid, cmap=colours, norm=scale)
    panel.set_xlabel("u (horizontal frequency)")
    panel.set_xticks(range(8))
    panel.set_yticks(range(8))
    for (v, u), value in np.ndenumerate(grid):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(float(scale(value)))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
            number = panel.text(u, v, in_a_cell(value, decimals), ha="center", va="center", color=ink, fontsize=8)
            number.set_in_layout(False)  # it is inside its panel, and measuring 192 of them takes time
    return image


def _outline(panel: Axes, component: str, selected: ChannelMask | None) -> None:
    """Title a panel, and outline its selected channels."""
    from matplotlib.patches import Rectangle

    chosen = [] if selected is None else [channel for channel in selected.channels if channel.component == component]
    panel.set_title(component if selected is None else f"{component}: {len(chosen)} selected")
    for channel in chosen:
        corner = (channel.u - 0.46, channel.v - 0.46)
        # A white line under the coloured one: seen on every colour of the map.
        for colour, width in (("white", 3.4), (RED, 2.0)):
            panel.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=colour, linewidth=width))


def _decimals(values: npt.NDArray[np.float64]) -> int:
    """Return how many decimals numbers below 10 need: three where two would make most of them look equal."""
    shown = values[np.isfinite(values)]
    span = float(np.ptp(shown)) if shown.size else 1.0
    return 3 if 1e-5 < span < 0.1 else 2


def in_a_cell(value: float, decimals: int = 2) -> str:
    """Return a number in few characters: ``0``, ``0.87``, ``12.3``, ``456``, ``7.89k``, ``123k``."""
    if value == 0:
        return "0"  # unlike what is only small
    for unit, divisor in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * divisor:
            return f"{_three_digits(value / divisor, 2)}{unit}"
    return _three_digits(value, decimals)


def _three_digits(value: float, decimals: int) -> str:
    digits = decimals if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:z.{digits}f}"  # z: no minus before what rounds to zero

"""Heat maps of numbers per channel: three 8x8 panels, Y, Cb and Cr, as in figure 5 of Xu et al. (CVPR 2020).

Several numbers can be drawn above each other: what gates chose beside the energy of the channels, say. Needs
matplotlib, the extra ``plot``. Draws with its object-oriented API: no display, and no global state left changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS, N_CHANNELS
from freqcache_formats.mask import ChannelMask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

SUFFIXES: Final = (".png", ".svg", ".pdf")
_STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "freqcache"}
"""Text in an SVG stays text, and the same numbers give the same bytes."""


class MissingPlotExtra(TrainingError):  # noqa: N818 - names what is missing
    """Matplotlib is not installed."""


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
    """

    values: npt.NDArray[np.float64]
    title: str
    label: str
    log: bool = False


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


def check_heatmap(path: str | Path) -> None:
    """Raise what :func:`save_heatmaps` would, as far as that is known before there is anything to draw.

    Raises
    ------
    MissingPlotExtra
        If matplotlib is not installed.
    TrainingError
        If the file's suffix is not one of :data:`SUFFIXES`.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        msg = "matplotlib is not installed: pip install 'freqcache[plot]'"
        raise MissingPlotExtra(msg) from error
    if Path(path).suffix.lower() not in SUFFIXES:
        msg = f"{path}: cannot write the heat map: expected a name that ends in {' or '.join(SUFFIXES)}"
        raise TrainingError(msg)


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
    path, selected
        As for :func:`save_heatmaps`.
    values : (192,) float64
        In storage order; NaN cells stay empty.
    title, label : str
        Above the panels, and beside the colour bar.
    """
    save_heatmaps(path, [HeatRow(values=values, title="", label=label)], selected=selected, title=title)


def save_heatmaps(
    path: str | Path, rows: Sequence[HeatRow], *, selected: ChannelMask | None = None, title: str = ""
) -> None:
    """Draw one or more numbers per channel, each a row of three panels.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    rows : sequence of HeatRow
        From top to bottom.
    selected : ChannelMask, optional
        Channels to outline in every row.
    title : str
        Above everything.

    Raises
    ------
    MissingPlotExtra
        If matplotlib is not installed.
    TrainingError
        If the file cannot be written.
    """
    check_heatmap(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.4 * len(rows) + 0.4), dpi=110)
    figure.set_layout_engine("constrained", h_pad=0.2, w_pad=0.06)
    panels = figure.subplots(len(rows), 3, squeeze=False)
    for places, row in zip(panels, rows, strict=True):
        image: Any = None
        scale, decimals = _scale(row), _decimals(row.values)
        for component, panel, grid in zip(COMPONENTS, places, component_grids(row.values), strict=True):
            image = _draw(panel, grid, scale, decimals)
            _outline(panel, component, selected)
        places[0].set_ylabel("v (vertical frequency)")
        if row.title:
            # As the title of the middle panel: constrained layout keeps its height free, whatever its width.
            places[1].set_title(f"{row.title}\n{places[1].get_title()}", fontsize=12)
        figure.colorbar(image, ax=list(places), shrink=0.85, pad=0.015, label=row.label)
    subtitle = "" if selected is None else f", {len(selected)} channels outlined"
    figure.suptitle(title + subtitle, fontsize=14, fontweight="bold")
    dates = {".svg": "Date", ".pdf": "CreationDate"}
    date = dates.get(Path(path).suffix.lower())
    try:
        with rc_context(_STYLE):
            figure.savefig(path, metadata=None if date is None else {date: None})
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot write the heat map: {getattr(error, 'strerror', None) or error}"
        raise TrainingError(msg) from error


def _scale(row: HeatRow) -> Normalize:
    """Return the row's scale of colours: from the least to the largest number that it can show."""
    from matplotlib.colors import LogNorm, Normalize

    shown = row.values[np.isfinite(row.values)]
    if row.log:
        shown = shown[shown > 0]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.5, 1.0)
    # One colour: give the bar some extent around it. What a float32 normalization makes of 1 is one colour too.
    if high - low < 1e-6 * max(1e-3, abs(high)):
        low, high = (low / 2, high * 2) if row.log else (low - 0.5, high + 0.5)
    return LogNorm(low, high, clip=True) if row.log else Normalize(low, high, clip=True)


def _draw(panel: Axes, grid: npt.NDArray[np.float64], scale: Normalize, decimals: int) -> Any:
    """Draw one component's 8x8 numbers, each written into its cell."""
    image = panel.imshow(grid, cmap="viridis", norm=scale)
    panel.set_xlabel("u (horizontal frequency)")
    panel.set_xticks(range(8))
    panel.set_yticks(range(8))
    for (v, u), value in np.ndenumerate(grid):
        if np.isfinite(value):
            # Dark figures on the bright end of the colour map, white ones on the dark end.
            ink = "black" if scale(value) > 0.6 else "white"
            panel.text(u, v, in_a_cell(value, decimals), ha="center", va="center", color=ink, fontsize=8.5)
    return image


def _outline(panel: Axes, component: str, selected: ChannelMask | None) -> None:
    """Title a panel, and outline its selected channels."""
    from matplotlib.patches import Rectangle

    chosen = [] if selected is None else [channel for channel in selected.channels if channel.component == component]
    panel.set_title(component if selected is None else f"{component}: {len(chosen)} selected", fontsize=12)
    for channel in chosen:
        corner = (channel.u - 0.46, channel.v - 0.46)
        panel.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="red", linewidth=2.2))


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
    return f"{value:.{digits}f}"

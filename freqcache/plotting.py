"""Heat maps of a number per channel: three 8x8 panels, Y, Cb and Cr, as in figure 5 of Xu et al. (CVPR 2020).

Needs matplotlib, the extra ``plot``. Draws with its object-oriented API: no global state, no display.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS, N_CHANNELS
from freqcache_formats.mask import ChannelMask


class MissingPlotExtra(TrainingError):  # noqa: N818 - names what is missing
    """Matplotlib is not installed."""


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
    """Draw the heat map of a number per channel.

    Parameters
    ----------
    path : path
        Image file to write; its suffix chooses the format.
    values : (192,) float64
        In storage order; NaN cells stay empty.
    selected : ChannelMask, optional
        Channels to outline.
    title, label : str
        Above the panels, and beside the colour bar.

    Raises
    ------
    MissingPlotExtra
        If matplotlib is not installed.
    TrainingError
        If the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError as error:
        msg = "matplotlib is not installed: pip install 'freqcache[plot]'"
        raise MissingPlotExtra(msg) from error
    grids = component_grids(values)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low < 1e-9:  # one colour: give the bar some extent around it
        low, high = low - 0.5, high + 0.5
    chosen = set() if selected is None else set(selected.channels)

    figure = Figure(figsize=(15, 5.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, 3)
    image = None
    for component, panel, grid in zip(COMPONENTS, panels, grids, strict=True):
        image = panel.imshow(grid, cmap="viridis", vmin=low, vmax=high)
        count = sum(channel.component == component for channel in chosen)
        panel.set_title(component if selected is None else f"{component}: {count} selected", fontsize=13)
        panel.set_xlabel("u (horizontal frequency)")
        panel.set_xticks(range(8))
        panel.set_yticks(range(8))
        for (v, u), value in np.ndenumerate(grid):
            if np.isfinite(value):
                # Dark figures on the bright end of the colour map, white ones on the dark end.
                ink = "black" if (value - low) / (high - low) > 0.6 else "white"
                panel.text(u, v, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8.5)
        for channel in chosen:
            if channel.component == component:
                corner = (channel.u - 0.46, channel.v - 0.46)
                panel.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="red", linewidth=2.2))
    panels[0].set_ylabel("v (vertical frequency)")
    if image is not None:
        figure.colorbar(image, ax=list(panels), shrink=0.85, pad=0.015, label=label)
    subtitle = "" if selected is None else f", {len(selected)} channels outlined"
    figure.suptitle(title + subtitle, fontsize=14)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot write the heat map: {error}"
        raise TrainingError(msg) from error

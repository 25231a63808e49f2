"""What all pictures share: fonts and colours, and files whose bytes depend on nothing but what is drawn.

Colours are matplotlib's viridis for numbers, its PuOr for signed ones, and those of Okabe and Ito
(https://jfly.uni-koeln.de/color/) for lines: all can be told apart by colour-blind people.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freqcache.errors import PlotError
from freqcache.targets import check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES: Final = (".png", ".svg", ".pdf")
DPI: Final = 110
"""Dots per inch of a PNG, where no other number is asked for."""

MAX_PIXELS: Final = 2**15
"""Largest side of a PNG: what matplotlib's renderer can address."""

NUMBERS, SIGNED = "viridis", "PuOr"
"""Colour maps."""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
)
"""The colours of Okabe and Ito. Yellow is too pale for lines on white."""

LINES: Final = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
COMPONENT_COLOURS: Final = (BLACK, BLUE, RED)
"""Of Y, Cb and Cr."""

_STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.grid": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "freqcache",
}
"""Text in an SVG stays text, and the same numbers give the same bytes."""

_DATES: Final = {".svg": "Date", ".pdf": "CreationDate"}


class MissingPlotExtra(PlotError):  # noqa: N818 - names what is missing
    """Matplotlib is not installed."""


def check_picture(path: str | Path) -> None:
    """Look, before there is anything to draw, whether a picture could be written.

    Raises
    ------
    MissingPlotExtra
        If matplotlib is not installed.
    PlotError
        If the file's suffix is not one of :data:`SUFFIXES`, its folder is missing or not writable, or a folder stands
        in its place.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        msg = "matplotlib is not installed: pip install 'freqcache[plot]'"
        raise MissingPlotExtra(msg) from error
    if Path(path).suffix.lower() not in SUFFIXES:
        msg = f"{path}: cannot write the picture: expected a name that ends in {' or '.join(SUFFIXES)}"
        raise PlotError(msg)
    check_target(path, PlotError)


@contextmanager
def picture(path: str | Path, *, width: float, height: float, dpi: int | None = None) -> Iterator[Figure]:
    """Give an empty figure to draw into, and write it when the context ends without an error.

    Inside, matplotlib's own defaults and those of this module hold, whatever a user's ``matplotlibrc`` says.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file.
    width, height : float
        Inches. Text has its size in points at this size.
    dpi : int, optional
        Pixels per inch of a PNG, and of images inside an SVG or a PDF: :data:`DPI` by default.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`check_picture`, or if the file cannot be written or would be too large.
    """
    check_picture(path)
    from matplotlib import style
    from matplotlib.figure import Figure

    path, dpi = Path(path), DPI if dpi is None else dpi
    if max(width, height) * dpi >= MAX_PIXELS:
        msg = f"{path}: cannot write the picture: {width:.0f} x {height:.0f} inches at {dpi} dpi are too many pixels"
        raise PlotError(msg)
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), dpi=dpi)
        figure.set_layout_engine("constrained", h_pad=0.09, w_pad=0.06)  # inches
        yield figure
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        suffix = path.suffix.lower()
        date = {_DATES[suffix]: None} if suffix in _DATES else None
        try:
            with warnings.catch_warnings():
                # Names of files and classes may have letters that the font lacks; they are boxes then.
                warnings.filterwarnings("ignore", message=".*[Gg]lyph")
                figure.savefig(partial, format=suffix[1:], metadata=date)
            partial.replace(path)
        except OSError as error:
            msg = f"{path}: cannot write the picture: {error.strerror}"
            raise PlotError(msg) from error
        finally:
            partial.unlink(missing_ok=True)


def text(words: str, most: int = 60) -> str:
    """Return words that come from outside, made fit to be drawn: no formulas, nothing that is no letter, not too long.

    What is too long loses its middle: the ends of paths and of names tell most.
    """
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
    if len(clean) > most:
        ahead = max(0, (most - 1) // 3)
        clean = f"{clean[:ahead]}…{clean[len(clean) - (most - 1 - ahead) :]}"
    return clean.replace("$", r"\$")


def in_bytes(count: float) -> str:
    """Return a number of bytes in B, KiB or MiB."""
    if count < 1024:
        return f"{count:.0f} B"
    unit, divisor = ("KiB", 1024) if count < 1024**2 else ("MiB", 1024**2)
    return f"{count / divisor:.1f} {unit}"


def tidy(axes: Axes) -> None:
    """Give a plot of lines a grid and no frame at the top and the right."""
    axes.grid(visible=True)
    axes.spines[["top", "right"]].set_visible(False)


def number_axis(axes: Axes, values: list[float], labels: list[str]) -> None:
    """Give a logarithmic horizontal axis ticks at exactly these numbers."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, labels)
    axes.set_xticks([], minor=True)

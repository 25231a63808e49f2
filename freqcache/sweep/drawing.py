"""Draws the picture of a sweep's folder again, from what is written there; nothing is run."""

from __future__ import annotations

from pathlib import Path

from freqcache.errors import MaskError, PlotError, TrainingError
from freqcache.plotting.style import check_picture
from freqcache.plotting.sweeps import save_sweep
from freqcache.sweep.folder import RESULTS, SWEEP, read_json
from freqcache.sweep.plan import Sweep
from freqcache.sweep.rows import read_rows
from freqcache.sweep.series import plot_series
from freqcache.training.config import RunConfig


def sweep_title(base: RunConfig) -> str:
    """Return what a sweep's runs have in common, in a few words: the cache's name and the network."""
    return f"{Path(base.cache.rstrip('/')).name.removesuffix('.zarr')}, {base.arch} x{base.width:g}"


def draw_sweep(folder: str | Path, path: str | Path, *, dpi: int | None = None) -> None:
    """Draw a sweep's accuracy against channels and bytes: see :func:`freqcache.plotting.sweeps.save_sweep`.

    Parameters
    ----------
    folder : path
        Of a sweep, finished or not: what has an accuracy is drawn.
    path : path
        PNG, SVG or PDF file to write.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    TrainingError
        If there is no sweep, or its files are damaged.
    PlotError
        If no run has an accuracy yet, or the file cannot be written.
    """
    check_picture(path)
    folder = Path(folder)
    if not (folder / SWEEP).is_file():
        msg = f"{folder}: is not the folder of a sweep: expected {SWEEP} in it"
        raise TrainingError(msg if folder.exists() else f"{folder}: no such folder of a sweep")
    try:
        sweep = Sweep.from_dict(read_json(folder / SWEEP))
    except (MaskError, TrainingError) as error:
        msg = f"{folder / SWEEP}: {error}"
        raise TrainingError(msg) from error
    series = plot_series(read_rows(folder / RESULTS)) if (folder / RESULTS).exists() else ()
    if not series:
        msg = f"{folder}: none of its runs has an accuracy yet; freqcache sweep goes on with it"
        raise PlotError(msg)
    save_sweep(path, series, title=sweep_title(sweep.base), dpi=dpi)

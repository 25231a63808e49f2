"""The gates of runs as heat maps: the mean probability of an open gate, with the mask outlined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freqcache.errors import PlotError
from freqcache.plotting.heatmaps import HeatRow, save_heatmaps
from freqcache.plotting.style import check_picture
from freqcache.training import Reporter, channel_probabilities
from freqcache.training.runs import MASK, load_run
from freqcache_formats.mask import ChannelMask


def run_row(
    run: str | Path,
    *,
    mask: str | Path | ChannelMask | None = None,
    cache: str | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> HeatRow:
    """Pool the gates of a run over its validation images.

    Parameters
    ----------
    run : path
        Run folder.
    mask : preset, path or ChannelMask, optional
        Channels to outline; by default those of the run's own ``mask.json``, where there is one.
    cache : str, optional
        Another cache to pool over.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    reporter : Reporter, optional
        Silent without.

    Raises
    ------
    TrainingError
        If there is no such run, it has no gates, or its cache cannot be read.
    MaskError
        If the mask cannot be read.
    """
    trained = load_run(run)
    if trained.model.gate is None:
        msg = f"{run}: this run has no gates, so there are no probabilities to draw; train one with --gate"
        raise PlotError(msg)
    own = trained.path / MASK
    selected = ChannelMask.load(mask) if mask is not None else ChannelMask.read(own) if own.exists() else None
    found = channel_probabilities(trained, cache, device=device, reporter=reporter)
    return HeatRow(
        values=found.values,
        title=f"{trained.path.resolve().name}, {found.images:,} validation images",
        label="mean probability of an open gate",
        selected=selected,
    )


def draw_runs(
    runs: Sequence[str | Path],
    path: str | Path,
    *,
    mask: str | Path | ChannelMask | None = None,
    cache: str | None = None,
    device: str = "auto",
    dpi: int | None = None,
    reporter: Reporter | None = None,
) -> None:
    """Draw the gates of runs, a row each: :func:`run_row`, then :func:`save_heatmaps`.

    Parameters
    ----------
    runs : sequence of paths
        Run folders, from top to bottom.
    path : path
        PNG, SVG or PDF file to write.
    mask, cache, device, reporter
        As for :func:`run_row`.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    FreqcacheError
        As the functions that this one calls.
    """
    check_picture(path)
    rows = [run_row(run, mask=mask, cache=cache, device=device, reporter=reporter) for run in runs]
    save_heatmaps(path, rows, title="P(on), the mean probability of an open gate", dpi=dpi)

"""``freqcache plot``: pictures of runs, caches, samples and sweeps."""

from __future__ import annotations

from collections.abc import Callable
from math import isinf
from pathlib import Path
from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.names import MASK, sample_split
from freqcache_cli.usage import PICTURES, ending_in, usage
from freqcache_cli.verbosity import verbose

_Function = Callable[..., Any]


def _picture_options(function: _Function) -> _Function:
    """Add what all pictures have."""
    function = verbose(function)
    function = click.option(
        "--dpi",
        type=click.IntRange(10, 1200),
        default=110,
        show_default=True,
        help="Pixels per inch of a PNG, and of images inside an SVG or a PDF.",
    )(function)
    return click.option(
        "-o",
        "--out",
        type=click.Path(path_type=Path),
        callback=ending_in(*PICTURES),
        required=True,
        help="PNG, SVG or PDF file to write.",
    )(function)


def _said(out: Path) -> None:
    click.echo(f"picture    {out}")


_split = click.option("--split", help="Split of the cache.  [default: the training split, or the first]")


@click.group("plot")
def command() -> None:
    """Draw pictures of runs, caches, samples and sweeps.

    Needs matplotlib: pip install 'freqcache[plot]'. The suffix of the file chooses PNG, SVG or PDF; the same input
    gives the same bytes.
    """


@command.command("heatmap")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--mask", type=MASK, metavar="MASK", help="Outline this mask.json or preset.  [default: each run's own mask.json]"
)
@click.option("--cache", help="Another cache to pool over.  [default: each run's own]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@cache_options("cache")
@_picture_options
def heatmap(runs: tuple[str, ...], *, mask: str | None, cache: str | None, device: str, out: Path, dpi: int) -> None:
    """Draw the gates of each gated RUN: the mean probability of being open, over its validation images.

    One row of three panels a run, Y, Cb and Cr, with the channels of the mask outlined.
    """
    from freqcache.plotting.runs import draw_runs
    from freqcache.training import TerminalReporter

    draw_runs(runs, out, mask=mask, cache=cache, device=device, dpi=dpi, reporter=TerminalReporter())
    _said(out)


@command.command("statistics")
@click.argument("store", metavar="OUT.zarr")
@_split
@cache_options("store")
@_picture_options
def statistics(store: str, *, split: str | None, out: Path, dpi: int) -> None:
    """Draw what a cache says of its channels.

    Heat maps of energy, deviation, zeros and mean; below them the channels sorted by energy, and what the first of them
    have of all energy and of all bytes.
    """
    from freqcache.plotting.statistics import draw_statistics

    draw_statistics(store, out, split=split, dpi=dpi)
    _said(out)


@command.command("tiles")
@click.argument("store", metavar="OUT.zarr")
@click.argument("index", metavar="INDEX")
@sample_split
@click.option(
    "--scale",
    type=click.Choice(["common", "tile"]),
    default="common",
    show_default=True,
    help="One scale of colours for all channels, which shows how they fade, or one for each.",
)
@cache_options("store")
@_picture_options
def tiles(store: str, index: str, *, split: str | None, scale: str, out: Path, dpi: int) -> None:
    """Draw one sample as its channels, beside its picture.

    INDEX is a slot, or a source path or the end of one. A tile is the block grid of one channel; its place is its
    frequency.
    """
    from freqcache.plotting.tiles import draw_tiles

    sample = draw_tiles(store, index, out, split=split, scale=scale, dpi=dpi)
    click.echo(f"sample     {sample.split}, slot {sample.slot}: {sample.path}")
    _said(out)


@command.command("reconstruction")
@click.argument("store", metavar="OUT.zarr")
@click.argument("index", metavar="INDEX")
@click.option(
    "--channels",
    metavar="MASK,MASK,..",
    help="Presets and mask.json files.  [default: those of 6,24,48,64 that the cache holds]",
)
@sample_split
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="The source file, or the folder the cache was built from: compare with its pixels instead.",
)
@cache_options("store")
@_picture_options
def reconstruction(
    store: str, index: str, *, channels: str | None, split: str | None, source: Path | None, out: Path, dpi: int
) -> None:
    """Draw one sample's image from some of its channels, beside the original.

    INDEX is a slot, or a source path or the end of one. Under each image: its PSNR, and the bytes of its channels. The
    original is the image from all channels that the cache holds, or the source file.
    """
    names = None if channels is None else [name.strip() for name in channels.split(",")]
    if names is not None and not all(names):
        msg = f"--channels: expected presets and mask.json files with commas between them, found {channels!r}"
        raise click.UsageError(msg)

    from freqcache.plotting.reconstruction import draw_reconstructions
    from freqcache_formats.mask import ChannelMask

    with usage():
        for name in names or ():
            ChannelMask.load(name)
    made = draw_reconstructions(store, index, out, channels=names, split=split, source=source, dpi=dpi)
    for one in made:
        quality = "equal" if isinf(one.psnr) else f"{one.psnr:.2f} dB"
        lacks = f", {one.lacking} of its channels are not in the cache" if one.lacking else ""
        click.echo(f"{one.name:10} {quality}, {one.bytes:,.0f} bytes{lacks}")
    _said(out)


@command.command("sweep")
@click.argument("folder", metavar="SWEEP")
@_picture_options
def sweep(folder: str, *, out: Path, dpi: int) -> None:
    """Draw the results of a sweep: accuracy against channels, and against bytes read per image.

    SWEEP is the folder of a freqcache sweep, finished or not.
    """
    from freqcache.sweep.drawing import draw_sweep

    draw_sweep(folder, out, dpi=dpi)
    _said(out)


@command.command("curves")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@_picture_options
def curves(runs: tuple[str, ...], *, out: Path, dpi: int) -> None:
    """Draw cross-entropy, accuracy and open channels of each RUN over its epochs.

    Runs that differ in their seed alone are one line, their mean.
    """
    from freqcache.plotting.curves import draw_curves

    draw_curves(runs, out, dpi=dpi)
    _said(out)

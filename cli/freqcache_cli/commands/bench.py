"""``freqcache bench``: how fast a cache is read on this machine."""

from __future__ import annotations

import json

import click

from freqcache_cli.bench_text import words
from freqcache_cli.cache_options import cache_options
from freqcache_cli.names import MASK
from freqcache_cli.usage import finite
from freqcache_cli.verbosity import verbosity


@click.command("bench")
@click.argument("cache", metavar="OUT.zarr")
@click.option(
    "--channels",
    multiple=True,
    type=MASK,
    metavar="MASK",
    help="A preset such as 24, or a mask.json; may be given again.  [default: 6, 24, 64 and 192]",
)
@click.option(
    "--source", metavar="SOURCE", help="Also decode the images that the cache was built of, to RGB by Pillow."
)
@click.option("--split", help="Which split to read.  [default: train, or the first]")
@click.option(
    "--order",
    "orders",
    multiple=True,
    type=click.Choice(["stored", "groups", "samples"]),
    help="Front to back, shuffled row groups, or single samples; may be given again.  [default: all]",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["warm", "cold"]),
    help="Of the page cache; may be given again.  [default: both]",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Row groups, or files, at a time."
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images in a batch.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Passes of each configuration.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    callback=finite,
    default=60.0,
    show_default=True,
    help="About so much time is spent in all.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything, machine-readable: see docs/inspecting.md.")
@cache_options("cache")
@verbosity
def command(
    cache: str,
    *,
    channels: tuple[str, ...],
    source: str | None,
    split: str | None,
    orders: tuple[str, ...],
    states: tuple[str, ...],
    threads: int,
    batch_size: int,
    repeats: int,
    seconds: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how fast the channels of masks are read from a cache.

    Measured is reading: from stored bytes to batches of integers in memory, through the loader, in this process. Not
    measured are transforms, copies to a device, and training. Configurations take turns; the median of their passes
    is told, and how far they lie apart. Cold means dropped from this system's page cache; a disk, or the host of a
    virtual machine, may still hold the bytes in its memory. Nothing is written.
    """
    from freqcache.benchmarking.options import ORDERS, STATES, BenchOptions
    from freqcache.benchmarking.reading import measure_reading

    options = BenchOptions(
        channels=channels,
        orders=orders or ORDERS,
        states=states or STATES,
        split=split,
        source=source,
        threads=threads,
        batch_size=batch_size,
        repeats=repeats,
        seconds=seconds,
    )
    report = measure_reading(cache, options, quiet=quiet)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else words(report, cache))

"""``freqcache hot``: an uncompressed copy of some channels inside a cache."""

from __future__ import annotations

import click

from freqcache_cli.names import MASK
from freqcache_cli.sizes import in_words
from freqcache_cli.verbosity import verbosity


@click.command("hot")
@click.argument("cache", metavar="OUT.zarr")
@click.option(
    "--channels",
    required=True,
    type=MASK,
    metavar="MASK",
    help="The channels to copy: a mask.json, or the name of a preset such as 24.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Row groups read at a time.")
@click.option("--overwrite", is_flag=True, help="Replace the hot copy that is there.")
@verbosity
def command(cache: str, *, channels: str, threads: int, overwrite: bool, quiet: bool) -> None:
    """Make the hot copy of a cache: the channels of one mask, uncompressed, mapped into memory by readers.

    Whatever reads a subset of those channels from the cache then reads them from the copy. A cache has one hot copy. If
    making it is interrupted, the same command goes on.
    """
    from freqcache.building.hot import make_hot

    report = make_hot(cache, channels, overwrite=overwrite, threads=threads, quiet=quiet)
    if not quiet:
        click.echo(
            f"{report.path}: {len(report.channels)} channels of {report.samples} images, {in_words(report.bytes)}"
        )

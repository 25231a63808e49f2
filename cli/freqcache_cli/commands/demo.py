"""``freqcache demo``: the whole road on the photographs that ship with the package."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from freqcache_cli.verbosity import reporter, verbosity


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("freqcache-demo"),
    show_default=True,
    help="Folder for the cache, the runs, mask.json and heatmap.png.",
)
@click.option("-k", type=click.IntRange(1, 192), default=24, show_default=True, help="Channels to keep.")
@click.option("--epochs", type=click.IntRange(1), default=30, show_default=True, help="Of each run.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@verbosity
def command(out: Path, *, k: int, epochs: int, seed: int, quiet: bool) -> None:
    """Build, train with gates, select channels and train on those, on 150 photographs of flowers.

    Takes two to three minutes on two cores. It shows the road, not the accuracy that can be reached.
    """
    from freqcache.demo import run_demo

    result = run_demo(out, k=k, epochs=epochs, seed=seed, reporter=reporter(quiet=quiet))
    if quiet:
        return
    click.echo(f"\n{result.table()}\n")
    click.echo(f"mask       {result.mask}")
    if result.heatmap is not None:
        click.echo(f"heat map   {result.heatmap}")
    click.echo(f"next       freqcache train --channels {quote(str(result.mask))}")

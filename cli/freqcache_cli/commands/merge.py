"""``freqcache merge``: one cache of several."""

from __future__ import annotations

from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.rewriting_options import rewriting_options, summary
from freqcache_cli.usage import SEED


@click.command("merge")
@click.argument("stores", nargs=-1, required=True, metavar="STORE STORE...")
@click.argument("out", type=click.Path(), metavar="OUT")
@click.option("--allow-duplicates", is_flag=True, help="Keep samples of one source path in several caches, each.")
@click.option(
    "--shuffle/--no-shuffle", default=True, help="Shuffle the samples, or cache after cache.  [default: shuffle]"
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the shuffle.")
@cache_options("stores")
@rewriting_options
def command(stores: tuple[str, ...], out: str, *, quiet: bool, **options: Any) -> None:
    """Make one cache OUT of two or more caches of the same kind, size, dtype, steps and channels.

    Classes and splits are joined by their names. Integers, steps and what is recorded of the source files stay as they
    are. If it is interrupted, the same command goes on.
    """
    if len(stores) < 2:
        msg = "expected at least two caches to merge, and then the new one"
        raise click.UsageError(msg)

    from freqcache.rewriting import merge

    report = merge(stores, out, quiet=quiet, **options)
    if not quiet:
        click.echo(summary(report))

"""``freqcache repack``: a cache with fewer channels, another compression level or in another order."""

from __future__ import annotations

from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.rewriting_options import channels_option, rewriting_options, summary
from freqcache_cli.usage import SEED


@click.command("repack")
@click.argument("store", metavar="STORE")
@click.argument("out", type=click.Path(), metavar="OUT")
@channels_option
@click.option("--shuffle", is_flag=True, help="Shuffle the samples; their order stays by default.")
@click.option("--seed", type=SEED, help="Of the shuffle.  [default: 0]")
@cache_options("store")
@rewriting_options
def command(store: str, out: str, *, shuffle: bool, seed: int | None, quiet: bool, **options: Any) -> None:
    """Make a cache OUT of all samples of the cache STORE, in another form.

    Slots whose file failed are dropped. Integers, steps and what is recorded of the source files stay as they are. If
    it is interrupted, the same command goes on.
    """
    if seed is not None and not shuffle:
        msg = "--seed is of --shuffle: without it the order stays"
        raise click.UsageError(msg)

    from freqcache.rewriting import repack

    report = repack(store, out, shuffle=shuffle, seed=seed or 0, quiet=quiet, **options)
    if not quiet:
        click.echo(summary(report))

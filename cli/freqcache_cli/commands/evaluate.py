"""``freqcache eval``: accuracy of a run's checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.verbosity import reporter, verbosity


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("cache", required=False)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@cache_options("cache")
@verbosity
def command(run: Path, cache: str | None, *, batch_size: int, device: str, quiet: bool) -> None:
    """Print the accuracy of RUN on the validation images of its cache, or of CACHE."""
    from freqcache.training import evaluate

    result = evaluate(run, cache, device=device, batch_size=batch_size, reporter=reporter(quiet=quiet))
    click.echo(f"top-1 {result.top1:.4f}  top-5 {result.top5:.4f}  loss {result.loss:.4f}  ({result.images} images)")
    if result.channels_open is not None:
        click.echo(f"gates open {result.channels_open:.1f} per image, expected {result.channels_expected:.1f}")

"""``freqcache subset``: a cache of some samples of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.rewriting_options import channels_option, rewriting_options, summary
from freqcache_cli.usage import SEED, usage


@click.command("subset")
@click.argument("store", metavar="STORE")
@click.argument("out", type=click.Path(), metavar="OUT")
@click.option("--classes", metavar="A,B", help="Keep these classes.")
@click.option("--classes-file", type=click.Path(path_type=Path), help="Keep the classes named there, one a line.")
@click.option("--keep-labels", is_flag=True, help="With classes: keep all class names and every label as it is.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the samples named there, one a line: slots (of --split, where there are several), source paths or the "
    "ends of some.",
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Keep this split. Repeat for more.")
@click.option(
    "--limit-per-class", type=click.IntRange(1), metavar="N", help="Keep at most N samples of each class of each split."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of --limit-per-class.")
@channels_option
@cache_options("store")
@rewriting_options
def command(
    store: str,
    out: str,
    *,
    classes: str | None,
    classes_file: Path | None,
    samples: Path | None,
    splits: tuple[str, ...],
    channels: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Make a cache OUT of some samples of the cache STORE.

    With --classes, the new cache has these classes only and counts labels anew. Integers, steps and what is recorded of
    the source files stay as they are. If it is interrupted, the same command goes on.
    """
    if classes is not None and classes_file is not None:
        msg = "--classes and --classes-file are two lists; give one"
        raise click.UsageError(msg)
    chosen = {name: options.pop(name) for name in ("keep_labels", "limit_per_class", "seed")}
    if classes is None and classes_file is None and chosen["keep_labels"]:
        msg = "--keep-labels is for --classes: without them no label changes"
        raise click.UsageError(msg)
    if not (classes or classes_file or samples or splits or chosen["limit_per_class"]):
        msg = "say what to keep: --classes, --classes-file, --samples, --split or --limit-per-class"
        raise click.UsageError(msg)

    from freqcache.rewriting import Selection, read_lines, subset

    names = None if classes is None else tuple(name.strip() for name in classes.split(","))
    with usage():
        selection = Selection(
            splits=splits or None,
            classes=names if classes_file is None else read_lines(classes_file),
            samples=None if samples is None else read_lines(samples),
            **chosen,
        )
    report = subset(store, out, selection, channels=channels, quiet=quiet, **options)
    if not quiet:
        click.echo(summary(report))

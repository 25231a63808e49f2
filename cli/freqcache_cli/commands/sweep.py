"""``freqcache sweep``: gated runs over lambdas or targets and seeds, retrained on their masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.run_options import create_config, run_options
from freqcache_cli.usage import PICTURES, ending_in, usage
from freqcache_cli.verbosity import reporter, verbosity

_SET_HERE = ("channels", "input", "lam", "target_channels", "target_bytes", "seed", "gate")
"""Options of a run that the sweep sets, or, like the gate, has choices of its own for."""


def _numbers(kind: Callable[[str], Any], word: str) -> Callable[..., tuple[Any, ...]]:
    """Return the callback of an option that takes numbers with commas between them, and may be repeated."""

    def convert(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Any, ...]:
        try:
            return tuple(kind(part) for text in texts for part in text.split(","))
        except ValueError:
            msg = f"expected {word} with commas between them, found {', '.join(texts)!r}"
            raise click.BadParameter(msg) from None

    return convert


_FLOATS, _INTEGERS = _numbers(float, "numbers"), _numbers(int, "whole numbers")


@click.command("sweep")
@click.argument("cache")
@click.option(
    "--lam", "lams", callback=_FLOATS, multiple=True, metavar="L,L,..", help="Lambdas: weights of the gate term."
)
@click.option(
    "--target-channels", "targets", callback=_FLOATS, multiple=True, metavar="C,C,..", help="Targets, in open channels."
)
@click.option("--seeds", callback=_INTEGERS, multiple=True, metavar="S,S,..", help="[default: 0]")
@click.option(
    "-k",
    callback=_INTEGERS,
    multiple=True,
    metavar="K,K,..",
    help="Channels of the masks of each lambda; those of a target have as many as that.  [default: 24]",
)
@click.option(
    "--threshold",
    "thresholds",
    callback=_FLOATS,
    multiple=True,
    metavar="P,P,..",
    help="For each lambda also, or without -k only, the mask of the channels with P(on) above P.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="MASK",
    help="Also train on a preset (24, 192, ..), on a mask.json, or on rgb. Repeat for more.",
)
@click.option("--retrain/--no-retrain", default=True, show_default=True, help="Train a network on each mask.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sweep.  [default: sweeps/CACHE]")
@click.option(
    "--plot",
    "pictures",
    type=click.Path(path_type=Path),
    callback=ending_in(*PICTURES),
    multiple=True,
    help="Another picture: .svg, .pdf, .png.",
)
@click.option("--gate", type=click.Choice(["dynamic", "static"]), help="[default: dynamic]")
@run_options(without=_SET_HERE)
@click.option(
    "--save-steps", type=click.IntRange(1), default=1000, show_default=True, help="Checkpoint after so many steps too."
)
@cache_options("cache")
@verbosity
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train with a gate on CACHE for each lambda or target and each seed, and again on the masks that come of it.

    The same command goes on with a sweep that was interrupted, tries again what failed, and may add lambdas, targets,
    seeds, masks and baselines to one that is there. Ends with a table, results.csv, results.json and a picture; the
    exit status is 1 where a run failed.
    """
    quiet = options.pop("quiet")
    values: dict[str, Any] = {name: options.pop(name) for name in ("lams", "targets", "seeds", "k", "thresholds")}
    if not values["lams"] and not values["targets"]:
        msg = "name what to sweep over: --lam 0.003,0.01,0.03 or --target-channels 6,24,48"
        raise click.UsageError(msg)
    if not values["lams"] and (values["k"] or values["thresholds"]):
        msg = "-k and --threshold cut the masks of lambdas, and there is no --lam; a target's mask is of its size"
        raise click.UsageError(msg)

    from freqcache.sweep import Sweep, format_table, run_sweep

    if not values["seeds"]:
        values["seeds"] = (0,)
    if not values["k"] and not values["thresholds"]:
        values["k"] = (24,)
    cache, out = options.pop("cache"), options.pop("out")
    values |= {name: options.pop(name) for name in ("retrain", "baselines")}
    run = {name: options.pop(name) for name in ("pictures", "save_steps")}
    base = create_config(cache, {"channels": None, **options}, gated=True)
    if out is None:
        out = Path("sweeps") / Path(cache.rstrip("/")).name.removesuffix(".zarr")
    with usage():
        sweep = Sweep(base=base, **values)
    result = run_sweep(sweep, out, reporter=reporter(quiet=quiet), **run)
    if quiet:
        context.exit(1 if result.failed else 0)
    click.echo(f"\n{format_table(result.rows)}\n")
    said = ((f"{row.setting.label}, seed {row.seed}", warning) for row in result.rows for warning in row.warnings)
    for title, warning in dict.fromkeys(said):  # several masks are of one gated run
        click.echo(f"warning    {title}: {warning}")
    for row in result.failed:
        click.echo(f"failed     {row.title}: {row.failed}")
    click.echo(f"results    {result.path / 'results.csv'}, {result.path / 'results.json'}")
    for picture in result.pictures:
        click.echo(f"picture    {picture}")
    if result.failed:
        count = f"{len(result.failed)} of {len(result.rows)} rows failed"
        click.echo(f"next       {count}: the same command tries them again, and leaves the others as they are")
        context.exit(1)
    click.echo("next       the same command with more --lam, --target-channels, --seeds, -k or --baseline adds to it")

"""``freqcache train``: train a network on a cache, gated or with a mask."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.run_options import create_config, run_options
from freqcache_cli.verbosity import reporter, verbosity


@click.command("train")
@click.argument("cache", required=False)
@run_options()
@click.option(
    "-k",
    type=click.IntRange(1, 192),
    help="Channels of the mask that a gated run writes.  [default: the target, or 24]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/CACHE-WHAT-sSEED]")
@click.option("--resume", "run", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run.")
@click.option(
    "--save-steps", type=click.IntRange(1), default=1000, show_default=True, help="Checkpoint after so many steps too."
)
@cache_options("cache")
@verbosity
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train a network on CACHE, or on the cache that the mask came from.

    Without --channels the network sees all 192 channels through a gate, and the run ends with a mask of the
    -k most probable ones; with --channels it reads just those. A cache that holds some channels only is read whole,
    without a gate unless --gate or a target asks for one. Under torchrun the processes share the work.
    """
    from freqcache.training import resume, train

    quiet = options.pop("quiet")
    speaker = reporter(quiet=quiet)
    k, out, run = options.pop("k"), options.pop("out"), options.pop("run")
    save_steps = options.pop("save_steps")
    if run is not None:
        _refuse_other_options(context)
        result = resume(run, k=k, device=options["device"], reporter=speaker, save_steps=save_steps)
    else:
        config = create_config(options.pop("cache"), options)
        if k is not None and config.gate == "none":
            msg = "-k is for the mask of a gated run, and this one has no gate"
            raise click.UsageError(msg)
        result = train(config, out=out, k=k, reporter=speaker, save_steps=save_steps)
    if quiet or not result.is_main:  # one process speaks
        return
    top5 = f", top-5 {result.top5:.4f}" if result.classes > 5 else ""
    click.echo(f"accuracy   top-1 {result.top1:.4f}{top5} on the validation images")
    click.echo(f"run folder {result.path}")
    if result.selected is None:
        click.echo(f"next       freqcache eval {quote(str(result.path))}")
    elif result.selected.mask_path is None:
        cut = "--budget BYTES" if result.k is None else f"-k {result.k}"
        click.echo(f"next       freqcache select {quote(str(result.path))} {cut} -o mask.json --allow-ties")
    else:
        click.echo(f"next       freqcache train --channels {quote(str(result.selected.mask_path))}")


def _is_typed(context: click.Context, name: str) -> bool:
    """Whether the user gave an option, so that it is not its default."""
    return context.get_parameter_source(name) not in (click.core.ParameterSource.DEFAULT, None)


def _refuse_other_options(context: click.Context) -> None:
    """Refuse what a resumed run would ignore: it keeps its own configuration."""
    allowed = {"run", "k", "device", "save_steps", "cache_dir", "cache_size", "quiet", "verbose"}
    typed = [
        parameter.get_error_hint(context)
        for parameter in context.command.params
        if parameter.name not in allowed and parameter.name is not None and _is_typed(context, parameter.name)
    ]
    if typed:
        msg = f"--resume keeps the run's own configuration; drop {', '.join(typed)}"
        raise click.UsageError(msg)

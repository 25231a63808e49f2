"""``freqcache train``: train a network on a cache, gated or with a mask."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click


@click.command("train")
@click.argument("cache", required=False)
@click.option("--channels", metavar="MASK", help="A mask.json, or a preset: 6, 24, 24-learned, 32, 48, 64, 192.")
@click.option("--arch", default="resnet18", show_default=True, help="resnet18, resnet34, resnet50, mobilenet_v2.")
@click.option("--width", default=1.0, show_default=True, help="Factor on the channels of every stage.")
@click.option("--strides", type=click.Choice(["iso", "paper"]), default="iso", show_default=True)
@click.option("--input", "input_", type=click.Choice(["dct", "rgb"]), default="dct", show_default=True)
@click.option("--gate/--no-gate", default=None, help="Default: a gate where no --channels is given.")
@click.option("--lam", default=0.01, show_default=True, help="Weight of the number of open channels in the loss.")
@click.option("--tau", default=1.0, show_default=True, help="Temperature of the Gumbel-softmax.")
@click.option("--epochs", default=12, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--lr", default=0.2, show_default=True, help="Peak learning rate.")
@click.option("--schedule", type=click.Choice(["one-cycle", "cosine"]), default="one-cycle", show_default=True)
@click.option("--weight-decay", default=5e-4, show_default=True)
@click.option("--label-smoothing", default=0.1, show_default=True)
@click.option("--shift", default=4, show_default=True, help="Translate images by up to so many blocks.")
@click.option("--flip/--no-flip", default=True, show_default=True, help="Mirror half of the images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--val-fraction", default=0.2, show_default=True, help="Held out of a cache with one split.")
@click.option("-k", default=24, show_default=True, help="Channels of the mask that a gated run writes.")
@click.option("--size", type=int, help="Side in pixels that images of a native cache are brought to.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/CACHE-WHAT-sSEED]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--amp/--no-amp", default=True, show_default=True, help="bfloat16 on CUDA.")
@click.option("--threads", type=int, help="CPU threads of torch.")
@click.option("--resume", "run", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run.")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Train a network on CACHE, or on the cache that the mask came from.

    Without --channels the network sees all 192 channels through a gate, and the run ends with a mask of the
    -k most probable ones; with --channels it reads just those.
    """
    from freqcache.training import RunConfig, TerminalReporter, resolve_cache, resume, train
    from freqcache_formats.mask import ChannelMask

    reporter = TerminalReporter()
    k, out, run = options.pop("k"), options.pop("out"), options.pop("run")
    if run is not None:
        _refuse_other_options(context)
        typed = {name for name in ("k", "device") if _is_typed(context, name)}
        chosen = {"k": k, "device": options["device"]}
        result = resume(run, reporter=reporter, **{name: chosen[name] for name in typed})
    else:
        cache, source, gate = options.pop("cache"), options.pop("channels"), options.pop("gate")
        channels = None if source is None else ChannelMask.load(source)
        entry = options.pop("input_")
        config = RunConfig(
            cache=resolve_cache(cache, channels),
            channels=channels,
            input=entry,
            gate=channels is None and entry == "dct" if gate is None else gate,
            **options,
        )
        result = train(config, out=out, k=k, reporter=reporter)
    top5 = f", top-5 {result.top5:.4f}" if result.classes > 5 else ""
    click.echo(f"accuracy   top-1 {result.top1:.4f}{top5} on the validation images")
    click.echo(f"run folder {result.path}")
    if result.selected is None:
        click.echo(f"next       freqcache eval {quote(str(result.path))}")
    elif result.selected.mask_path is None:
        click.echo(f"next       freqcache select {quote(str(result.path))} -k {k} -o mask.json --allow-ties")
    else:
        click.echo(f"next       freqcache train --channels {quote(str(result.selected.mask_path))}")


def _is_typed(context: click.Context, name: str) -> bool:
    """Whether the user gave an option, so that it is not its default."""
    return context.get_parameter_source(name) not in (click.core.ParameterSource.DEFAULT, None)


def _refuse_other_options(context: click.Context) -> None:
    """Refuse what a resumed run would ignore: it keeps its own configuration."""
    allowed = {"run", "k", "device"}
    typed = [
        parameter.get_error_hint(context)
        for parameter in context.command.params
        if parameter.name not in allowed and parameter.name is not None and _is_typed(context, parameter.name)
    ]
    if typed:
        msg = f"--resume keeps the run's own configuration; drop {', '.join(typed)}"
        raise click.UsageError(msg)

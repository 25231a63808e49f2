"""The options of a training run on the command line: those of ``RunConfig``, without importing torch for ``--help``.

An option that is not given is None: then the recipe decides, and after it ``RunConfig``. The defaults shown are
``RunConfig``'s; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from freqcache_cli.names import MASK, RECIPE
from freqcache_cli.sizes import parse_bytes
from freqcache_cli.usage import usage

if TYPE_CHECKING:
    from freqcache.training import RunConfig
    from freqcache_formats.mask import ChannelMask

F = TypeVar("F", bound=Callable[..., Any])

ARCHITECTURES: Final = ("resnet18", "resnet34", "resnet50", "mobilenet_v2")
"""Those of :mod:`freqcache.models`, which a test compares."""

OPTIONS: Final[tuple[tuple[str, str, Any, str, str], ...]] = (
    # flag, attribute, type, default, help
    ("--arch", "arch", click.Choice(ARCHITECTURES), "resnet18", "The network."),
    ("--width", "width", float, "1.0", "Factor on the channels of every stage."),
    ("--strides", "strides", click.Choice(["iso", "paper"]), "iso", "Compute of the RGB network, or the paper's x3."),
    ("--input", "input", click.Choice(["dct", "rgb"]), "dct", "Channels, or pixels of the same cache."),
    ("--init", "init", str, "", "Start from the trunk of an RGB checkpoint file."),
    ("--normalization", "normalization", click.Choice(["cache", "dctnet"]), "cache", "The cache's, or the published."),
    ("--size", "size", int, "", "Side in pixels that images of a native cache are brought to."),
    ("--crop", "crop", click.Choice(["none", "random-resized"]), "none", "Random crops, on the coefficients."),
    ("--resize", "resize", int, "", "Short side before the centre crop of validation."),
    ("--lam", "lam", float, "0.01", "Weight of the number of open channels in the loss."),
    ("--lam-warmup", "lam_warmup", float, "0.0", "Share of the run over which it rises from 0."),
    ("--target-channels", "target_channels", float, "", "Adapt the weight until so many channels are open."),
    ("--tau", "tau", float, "1.0", "Temperature of the Gumbel-softmax."),
    ("--tau-end", "tau_end", float, "", "Let it go there exponentially."),
    ("--gate-lr", "gate_lr", float, "", "Train the gate by Adam with this step."),
    ("--epochs", "epochs", int, "12", ""),
    ("--batch-size", "batch_size", int, "64", "Images of a step, over all processes."),
    ("--accumulate", "accumulate", int, "1", "Parts that a batch is computed in, to save memory."),
    ("--lr", "lr", float, "0.2", "Peak learning rate."),
    ("--schedule", "schedule", click.Choice(["one-cycle", "cosine", "step"]), "one-cycle", ""),
    ("--warmup", "warmup", float, "0.3", "Share of the run over which the learning rate rises."),
    ("--momentum", "momentum", float, "0.9", ""),
    ("--weight-decay", "weight_decay", float, "0.0005", ""),
    ("--label-smoothing", "label_smoothing", float, "0.1", ""),
    ("--ema", "ema", float, "0.0", "Decay of a moving average of the weights, which is then kept."),
    ("--mixup", "mixup", float, "0.0", "Alpha of mixup."),
    ("--shift", "shift", int, "4", "Translate images by up to so many blocks."),
    ("--seed", "seed", int, "0", ""),
    ("--val-fraction", "val_fraction", float, "0.2", "Held out of a cache with one split."),
    ("--device", "device", click.Choice(["auto", "cpu", "cuda"]), "auto", ""),
    ("--precision", "precision", click.Choice(["auto", "bf16", "float32"]), "auto", "auto: bf16 on CUDA."),
    ("--threads", "threads", int, "", "CPU threads of torch, and of reading."),
)
"""Options with a value; an empty default is none."""

SWITCHES: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("--flip/--no-flip", "flip", "flip", "Mirror half of the images."),
    ("--compile/--no-compile", "compile", "no-compile", "Compile the network."),
    ("--sync-batchnorm/--no-sync-batchnorm", "sync_batchnorm", "sync-batchnorm", "BatchNorm over all processes."),
)
"""Options without one."""


_OF_GATES: Final = ("lam", "lam_warmup", "tau", "tau_end", "gate_lr")


def run_options(*, without: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Decorate a command with the options of a run.

    Parameters
    ----------
    without : tuple of str
        Attributes of ``RunConfig`` that the command sets in another way.
    """

    def decorate(function: F) -> F:
        options = [
            click.option(
                "--channels",
                type=MASK,
                metavar="MASK",
                help="A mask.json, or a preset: 6, 24, 24-learned, 32, 48, 64, 192.",
            ),
            click.option(
                "--recipe",
                type=RECIPE,
                metavar="NAME",
                help="Options from a TOML file, or from one of freqcache's own.",
            ),
            click.option(
                "--gate",
                type=click.Choice(["none", "dynamic", "static"]),
                help="The paper's gate, one pair of logits per channel, or none.  [default: dynamic where no "
                "--channels is given and the cache holds all 192]",
            ),
            click.option(
                "--target-bytes",
                metavar="BYTES",
                callback=parse_bytes,
                help="Or until reading an image costs so much: 6KiB.",
            ),
        ]
        options += [
            click.option(flag, name, type=kind, help=_with_default(text, shown))
            for flag, name, kind, shown, text in OPTIONS
        ]
        options += [
            click.option(flag, name, default=None, help=_with_default(text, shown))
            for flag, name, shown, text in SWITCHES
        ]
        for option in reversed(options):
            function = option(function)
        for parameter in [p for p in getattr(function, "__click_params__", []) if p.name in without]:
            function.__click_params__.remove(parameter)  # type: ignore[attr-defined]
        return function

    return decorate


def _refuse_unused(typed: set[str], chosen: dict[str, Any]) -> None:
    """Refuse what was typed and would have no effect."""
    has_target = {"target_channels", "target_bytes"} & set(chosen)
    of_gates, without = ({"lam", "lam_warmup"}, "a target") if has_target else (set(_OF_GATES), "no gate")
    unused = sorted(typed & of_gates)
    if unused and (has_target or chosen["gate"] == "none"):
        flags = ", ".join("--" + name.replace("_", "-") for name in unused)
        msg = f"{flags} would have no effect: the run has {without}"
        raise click.UsageError(msg)


def _with_default(text: str, default: str) -> str:
    return f"{text}  [default: {default}]".strip() if default else text


def create_config(cache: str | None, options: dict[str, Any], *, gated: bool = False) -> RunConfig:
    """Return the configuration of what was typed; entries of `options` that belong to a run are taken out of it.

    Parameters
    ----------
    cache : str or None
        As typed; without one it is the mask's.
    options : dict
        Of a command with :func:`run_options`.
    gated : bool
        Give every run without ``--channels`` a gate, also where the cache holds a few channels only: those are chosen
        already, as by ``--channels``.

    Raises
    ------
    click.UsageError
        If the options make no run.
    TrainingError, MaskError
        If the cache or the mask cannot be read.
    """
    from dataclasses import fields

    from freqcache.training import RunConfig, holds_few_channels, load_recipe, resolve_cache
    from freqcache_formats.mask import ChannelMask

    recipe, source = options.pop("recipe"), options.pop("channels")
    channels: ChannelMask | None = None if source is None else ChannelMask.load(source)
    with usage():
        chosen = {} if recipe is None else load_recipe(recipe)
    names = {field.name for field in fields(RunConfig)}
    typed = {name: options.pop(name) for name in sorted(names & set(options))}
    chosen |= {name: value for name, value in typed.items() if value is not None}
    if "gate" not in chosen:
        wanted = gated or bool({"target_channels", "target_bytes"} & set(chosen))
        free = channels is None and chosen.get("input", "dct") == "dct"
        free = free and (wanted or cache is None or not holds_few_channels(cache))
        chosen["gate"] = "dynamic" if free else "none"
    _refuse_unused({name for name, value in typed.items() if value is not None}, chosen)
    place = resolve_cache(cache, channels)
    with usage():
        return RunConfig(cache=place, channels=channels, **chosen)

"""What ``subset``, ``merge`` and ``repack`` share on the command line: options, and the words that end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from freqcache_cli.names import MASK
from freqcache_cli.sizes import in_words
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.rewriting import RewriteReport

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN_CLASSES = 10


def channels_option(function: F) -> F:
    """Decorate a command with ``--channels``."""
    decorated: F = click.option(
        "--channels", type=MASK, metavar="MASK", help="Store these channels only: a mask.json, or a preset such as 24."
    )(function)
    return decorated


def rewriting_options(function: F) -> F:
    """Decorate a command with the options of every rewrite."""
    options = [
        click.option("--level", type=click.IntRange(1, 9), help="Compression level.  [default: the store's]"),
        click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]"),
        click.option("--overwrite", is_flag=True, help="Replace the store that stands at OUT."),
        verbosity,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def summary(report: RewriteReport) -> str:
    """Return the words that end a rewrite."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    rate = report.n_written / max(report.seconds, 1e-9)
    named = ", ".join(f"{label} {name}" for label, name in enumerate(report.classes[:_SHOWN_CLASSES]))
    more = f", ... ({len(report.classes)} in all)" if len(report.classes) > _SHOWN_CLASSES else ""
    lines = [
        f"{report.path}: {report.n_samples} images in {len(report.classes)} classes ({splits})",
        f"  labels   {named}{more}",
        f"  channels {len(report.channels)}",
        f"  bytes    {in_words(report.bytes_out)} of coefficients, of {in_words(report.bytes_in)} in what was read",
        f"  compared {report.n_compared} images were read again, and are equal to their sources",
        f"  time     {report.seconds:.1f} s, {rate:.0f} images/s",
        f"  id       {report.id}",
    ]
    if report.n_resumed:
        lines.append(f"  resumed  {report.n_resumed} shards were done already")
    if report.n_absent:
        lines.append(f"  absent   {report.n_absent} slots without a sample were dropped")
    lines += [f"  note     {note}" for note in report.notes]
    return "\n".join(lines)

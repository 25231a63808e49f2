"""``freqcache select``: from a run or a cache to a mask."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.sizes import parse_bytes
from freqcache_cli.usage import PICTURES, SEED, ending_in, finite
from freqcache_cli.verbosity import reporter as speaker
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.selection.report import ChannelChoice


@click.command("select")
@click.argument("source", metavar="RUN|CACHE")
@click.option(
    "--by",
    type=click.Choice(["gates", "weights", "energy", "deviation", "random"]),
    help="What ranks the channels.  [default: gates; for a cache, energy]",
)
@click.option("-k", type=click.IntRange(1, 192), help="Keep the k best channels.  [default: 24]")
@click.option(
    "--threshold", type=float, callback=finite, metavar="P", help="Keep the channels whose number is above P instead."
)
@click.option(
    "--budget",
    metavar="BYTES",
    callback=parse_bytes,
    help="Keep as many of the best channels as BYTES read per image pay for instead: 6000, 6KiB.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Mask to write.  [default: mask.json in RUN, or mask-BY.json]"
)
@click.option(
    "--heatmap",
    type=click.Path(path_type=Path),
    callback=ending_in(*PICTURES),
    help="Also draw heat maps into this PNG, SVG or PDF.",
)
@click.option("--table", type=click.Path(path_type=Path), help="Also write every channel's numbers into this CSV.")
@click.option(
    "--compare",
    multiple=True,
    metavar="MASK|RUN",
    help="A mask.json, a preset or a run to compare the mask with; may be repeated.",
)
@click.option("--cache", help="Another cache to pool over.  [default: the run's own]")
@click.option("--split", help="Split whose statistics and bytes are used.  [default: the training split]")
@click.option("--size", type=int, help="Side in pixels that images of a native CACHE are brought to.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of --by random.")
@click.option("--allow-ties", is_flag=True, help="Write a mask even where the ranking does not decide.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@cache_options("cache")
@verbosity
def command(
    source: str,
    *,
    by: str | None,
    k: int | None,
    threshold: float | None,
    budget: float | None,
    out: Path | None,
    heatmap: Path | None,
    table: Path | None,
    compare: tuple[str, ...],
    cache: str | None,
    split: str | None,
    size: int | None,
    seed: int,
    allow_ties: bool,
    device: str,
    quiet: bool,
) -> None:
    """Rank the channels of RUN or CACHE, and write a mask of the best ones.

    The gates of a gated RUN are pooled over its validation images: channels are ranked by their mean probability of
    being open. Other rankings are the norm of an ungated RUN's first weights, the energy or the deviation of the
    coefficients, and chance. Printed beside the mask: the bytes it reads per image, and the rank correlation of the
    ranking with energy, with the deviation that the network sees, and with the frequency.
    """
    if sum(value is not None for value in (k, threshold, budget)) > 1:
        msg = "give one of -k or --threshold, not both, or --budget alone"
        raise click.UsageError(msg)

    from freqcache.plotting.heatmaps import save_heatmaps
    from freqcache.selection.report import check_targets
    from freqcache.selection.table import write_table
    from freqcache.training.runs import MASK
    from freqcache.training.select import CutOptions, choose_channels, is_run

    run = is_run(source)
    by = by or ("gates" if run else "energy")
    name = MASK if by == "gates" else f"mask-{by}.json"
    path = out or (Path(source) / name if run else Path(name))
    check_targets(path, *([] if table is None else [table]), heatmap=heatmap)
    reporter = speaker(quiet=quiet)
    choice = choose_channels(
        source,
        CutOptions(k=k, threshold=threshold, budget=budget, allow_ties=allow_ties),
        by=by,
        cache=cache,
        split=split,
        size=size,
        seed=seed,
        compare=compare,
        device=device,
        reporter=reporter,
    )
    for warning in choice.warnings:
        reporter.warn(warning)
    choice.selection.mask.write(path)
    say: Callable[[str], None] = _nothing if quiet else click.echo
    say(summary(choice, path))
    if table is not None:
        write_table(table, choice.columns(), choice.selection.mask)
        say(f"{table}: table of the channels")
    if heatmap is not None:
        title = f"{choice.ranking.name}, {Path(source).name}"
        save_heatmaps(heatmap, choice.heat_rows(), title=title)
        say(f"{heatmap}: heat map")
    say(f"next       freqcache train --channels {quote(str(path))}")


def _nothing(_text: str) -> None:
    """Say nothing."""


def summary(choice: ChannelChoice, path: Path) -> str:
    """Return what is said of a mask: its channels and bytes, correlations of its ranking, and agreement with others."""
    from freqcache.selection import ChannelProbabilities

    mask, ranking, margin = choice.selection.mask, choice.ranking, choice.selection.margin
    parts = ", ".join(f"{name} {len(kept)}" for name, kept in zip(("Y", "Cb", "Cr"), mask.frequencies, strict=True))
    how, cut = f"by {ranking.name}", f"{margin:.4g}"
    if isinstance(ranking, ChannelProbabilities):
        how, cut = f"by {ranking.images} validation images", f"{margin:.4f}"
    lines = [
        f"{path}: {len(mask)} of {len(ranking.ranked)} channels ({parts}), {how}; margin at the cut {cut}",
        *_bytes(choice),
        *_correlations(choice),
    ]
    if choice.agreement is not None:
        first, *others = choice.agreement.names
        width = max(map(len, others))
        lines.append(f"Jaccard index of {first} with")
        for name, value in zip(others, choice.agreement.matrix[0, 1:], strict=True):
            lines.append(f"  {name:{width}}  {value:.2f}")
        pairs = len(choice.agreement.names) * (len(choice.agreement.names) - 1) // 2
        of = "the pair" if pairs == 1 else f"all {pairs} pairs"
        lines.append(f"  mean of {of} {choice.agreement.mean:.2f}; of random masks {choice.agreement.chance:.2f}")
    return "\n".join(lines)


def _correlations(choice: ChannelChoice) -> list[str]:
    """Return the table of rank correlations: over all channels, and inside each component."""
    title = f"rank correlation of {choice.ranking.name} with"
    width = max(len(title), *(len(correlation.name) + 2 for correlation in choice.correlations))
    lines = [f"{title:{width}}    all      Y     Cb     Cr"]
    for correlation in choice.correlations:
        numbers = (correlation.rho, *correlation.within)
        shown = "  ".join("    -" if isnan(rho) else f"{rho:+.2f}" for rho in numbers)
        lines.append(f"  {correlation.name:{width - 2}}  {shown}  {correlation.note}".rstrip())
    return lines


def _bytes(choice: ChannelChoice) -> list[str]:
    """Say what reading the mask costs, and where a resize makes it more than its own channels."""
    mask, profile = choice.selection.mask, choice.profile
    whole, own = profile.channel_bytes.sum(), profile.channel_bytes[mask.indices].sum()
    read = profile.reads(mask)
    takes = profile.channel_bytes[read.indices].sum()
    of = f"of {whole:,.0f} of all {int((profile.channel_bytes > 0).sum())} channels (split {profile.split})"
    lines = [f"bytes      {takes:,.0f} read per image, {of}"]
    if len(read) > len(mask):
        lines.append(
            f"           the mask's own channels take {own:,.0f}, but a resize to {profile.size} px mixes frequencies: "
            f"{len(read)} are read; of a fixed cache (freqcache build --size) the mask's alone"
        )
    return lines

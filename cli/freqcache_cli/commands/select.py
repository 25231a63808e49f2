"""``freqcache select``: from a gated run to a mask."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click


@click.command("select")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-k", type=int, help="Keep the k most probable channels.  [default: 24]")
@click.option("--threshold", type=float, metavar="P", help="Keep the channels with P(on) above P instead.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Mask to write.  [default: RUN/mask.json]")
@click.option("--heatmap", type=click.Path(path_type=Path), help="Also draw the heat map into this PNG.")
@click.option("--cache", help="Another cache to pool over.  [default: the run's own]")
@click.option("--allow-ties", is_flag=True, help="Write a mask even where the ranking does not decide.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(
    run: Path,
    k: int | None,
    threshold: float | None,
    out: Path | None,
    heatmap: Path | None,
    cache: str | None,
    allow_ties: bool,
    device: str,
) -> None:
    """Pool the gates of RUN over its validation images and write the channels they keep open.

    Channels are ranked by their mean probability of being open.
    """
    if k is not None and threshold is not None:
        msg = "give -k or --threshold, not both"
        raise click.UsageError(msg)

    from freqcache.plotting import save_heatmap
    from freqcache.selection import select_by_threshold, select_top_k
    from freqcache.training import TerminalReporter, channel_probabilities, load_run
    from freqcache.training.runs import MASK

    reporter = TerminalReporter()
    path = run / MASK if out is None else out
    if out is not None and not path.parent.is_dir():  # before minutes of work, not after
        msg = f"{path.parent}: no such folder to write {path.name} to"
        raise click.ClickException(msg)
    trained = load_run(run)
    probabilities = channel_probabilities(trained, cache, device=device, reporter=reporter)
    origin: dict[str, Any] = {"cache": trained.cache, "size": trained.config.size}
    if threshold is not None:
        selection = select_by_threshold(probabilities, threshold, **origin)
    else:
        selection = select_top_k(probabilities, 24 if k is None else k, allow_ties=allow_ties, **origin)
    for warning in selection.warnings:
        reporter.warn(warning)
    selection.mask.write(path)
    parts = ", ".join(
        f"{name} {len(kept)}" for name, kept in zip(("Y", "Cb", "Cr"), selection.mask.frequencies, strict=True)
    )
    click.echo(
        f"{path}: {len(selection.mask)} of {len(probabilities.gated)} channels ({parts}), "
        f"by {probabilities.images} validation images; margin at the cut {selection.margin:.4f}"
    )
    if heatmap is not None:
        save_heatmap(heatmap, probabilities.values, selected=selection.mask, title=f"P(on), {run.name}")
        click.echo(f"{heatmap}: heat map")
    click.echo(f"next       freqcache train --channels {quote(str(path))}")

"""``freqcache verify``: every byte of a cache, and the cache against its source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.sizes import in_words
from freqcache_cli.usage import SEED
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.verification import VerifyReport

_SHOWN: Final = 50
"""Samples, and problems, that are listed for people; JSON has all."""


@click.command("verify")
@click.argument("cache", metavar="OUT.zarr")
@click.option(
    "--source",
    type=click.Path(),
    help="What the cache was built from: extract its samples anew and compare.",
)
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Compare N random samples of each split with SOURCE."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of --sample.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@cache_options("cache")
@verbosity
def command(
    cache: str,
    *,
    source: str | None,
    sample: int | None,
    seed: int,
    workers: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check every byte of a cache, and what its values say of each other.

    Every chunk is decoded, every checksum, digest and statistic computed anew, the hot copy compared. Nothing is
    written. Exit status: 0 sound, 1 problems found or no cache there, 2 wrong usage.
    """
    if sample is not None and source is None:
        msg = "--sample: only together with --source"
        raise click.UsageError(msg)
    from freqcache.verification import verify

    report = verify(cache, source=source, sample=sample, seed=seed, workers=workers, quiet=quiet or as_json)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif not (quiet and report.is_sound):
        click.echo("\n".join(words(report)))
    return 0 if report.is_sound else 1


def words(report: VerifyReport) -> list[str]:
    """Return the lines that show a report to people."""
    number = len(report.findings)
    verdict = "OK" if report.is_sound else f"{number} problem{'s' if number > 1 else ''}"
    lines = [f"{report.path}: {verdict}"]
    lines += [f"  {finding.file}: {finding.reason}" for finding in report.findings[:_SHOWN]]
    if number > _SHOWN:
        lines.append(f"  and {number - _SHOWN} problems more (--json lists all)")
    bad = report.bad_samples
    if bad:
        lines.append(f"  samples not to be trusted: {len(bad)}")
        for name in bad[:_SHOWN]:
            path, class_name = name.path or "(path not readable)", name.class_name or "?"
            lines.append(f"    {name.split} slot {name.slot}  {path}  class {class_name}")
        if len(bad) > _SHOWN:
            lines.append(f"    and {len(bad) - _SHOWN} more (--json lists all)")
    lines += [f"  note     {note}" for note in report.notes]
    counts = report.counts
    rate = in_words(round(counts.bytes / max(report.seconds, 1e-9)))
    lines.append(
        f"  checked  {counts.files} files, {in_words(counts.bytes)}, {counts.chunks} chunks, {counts.samples} samples"
    )
    if counts.hot_samples:
        lines.append(f"  hot      {counts.hot_samples} samples compared with the hot copy")
    if counts.source_files or counts.pixels or counts.no_pixels:
        against = f"{counts.pixels} of them as pixels with Pillow's decoding"
        lines.append(f"  source   {counts.source_files} files extracted anew and compared, {against}")
    lines.append(f"  time     {report.seconds:.1f} s, {rate}/s")
    return lines

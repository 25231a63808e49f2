"""``freqcache export``: a cache back to a folder of JPEG files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.names import MASK
from freqcache_cli.sizes import in_words
from freqcache_cli.usage import usage
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.exporting import ExportReport


_SLOT: Final = "(?:0|[1-9][0-9]{0,17})"
_SLOTS: Final = re.compile(f"{_SLOT}(-{_SLOT})?(,{_SLOT}(-{_SLOT})?)*")
"""Numbers without leading zeros, as :mod:`freqcache.store.finding` has them; others are names."""


def _samples(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[range | str, ...] | None:
    """Return ranges of slots, and words: ``0-99,205`` is slots, ``@FILE`` a file of words, anything else a word."""
    found: list[range | str] = []
    for value in values:
        if value.startswith("@"):
            from freqcache.rewriting import read_lines

            with usage():
                found += read_lines(value[1:])
        elif _SLOTS.fullmatch(value):
            for part in value.split(","):
                first, _, last = part.partition("-")
                slots = range(int(first), int(last or first) + 1)
                if not slots:
                    msg = f"{part}: ends before it begins"
                    raise click.BadParameter(msg)
                found.append(slots)
        else:
            found.append(value)
    return tuple(found) if values else None


@click.command("export")
@click.argument("store", metavar="OUT.zarr")
@click.argument("folder", metavar="DIR")
@click.option("--split", metavar="NAME", help="Only this split.")
@click.option("--channels", type=MASK, metavar="MASK", default="all", show_default=True, help="Others become zero.")
@click.option("--classes", metavar="NAMES", help="Only these classes, with commas between them.")
@click.option(
    "--samples",
    multiple=True,
    metavar="WHICH",
    callback=_samples,
    help="Only these: slots such as 0-99,205 (of --split, where there are several), a source path or the end of one, "
    "or @FILE with one of these a line. Repeatable.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N samples.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: all cores]")
@click.option("--verify/--no-verify", default=True, help="Read each written file back.  [default: verify]")
@click.option("--overwrite", is_flag=True, help="Replace files that are there with other content.")
@cache_options("store")
@verbosity
def command(
    store: str,
    folder: str,
    *,
    split: str | None,
    channels: str,
    classes: str | None,
    samples: tuple[range | str, ...] | None,
    limit: int | None,
    workers: int | None,
    verify: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write the samples of a cache to DIR as JPEG files, in class folders as in the source.

    The files hold the cache's own integers: an extracted sample's file has the coefficients of its original,
    losslessly. Files that are there already and right are left alone, so an export that was interrupted goes on when
    the same command is given again.
    """
    from freqcache.exporting import ExportIncompleteError, export_jpegs

    try:
        report = export_jpegs(
            store,
            folder,
            channels=channels,
            split=split,
            classes=None if classes is None else classes.split(","),
            samples=samples,
            limit=limit,
            workers=workers,
            verify=verify,
            overwrite=overwrite,
            quiet=quiet,
        )
    except ExportIncompleteError as error:
        if not quiet:
            click.echo(summary(error.report))
        raise
    if not quiet:
        click.echo(summary(report))


def summary(report: ExportReport) -> str:
    """Return the words that end an export."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    lines = [f"{report.folder}: {report.n_files} JPEG files ({splits})"]
    for name, sizes in report.origins.items():
        lines.append(f"  {name:<9} {sizes.files} files, {_sizes(sizes.bytes, sizes.source_bytes)}")
    if len(report.origins) > 1:
        lines.append(f"  all       {_sizes(report.bytes, report.source_bytes)}")
    if report.channels < 192:
        held = "" if report.stored_channels == 192 else f"; the cache holds {report.stored_channels}"
        lines.append(f"  channels  {report.channels} of 192{held}; the other coefficients are zero")
    if report.kind == "fixed":
        rounded = f", {report.n_rounded} of them with steps rounded to whole numbers" if report.n_rounded else ""
        lines.append(f"  fixed     resized and cropped: not the original images{rounded}")
    lines.append(f"  time      {report.seconds:.1f} s, {report.n_files / max(report.seconds, 1e-9):.0f} images/s")
    if report.n_kept:
        lines.append(f"  kept      {report.n_kept} files were there already, and right")
    if report.refused:
        lines.append(f"  refused   {len(report.refused)} files, not written")
    return "\n".join(lines)


def _sizes(ours: int, theirs: int) -> str:
    return f"{in_words(ours)}, {ours / max(theirs, 1):.3f} of the {in_words(theirs)} of their sources"

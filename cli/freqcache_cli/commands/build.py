"""``freqcache build``: a folder of images, or another source of them, to a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from freqcache_cli.pixel_sizes import pixels_or_none
from freqcache_cli.sizes import in_words
from freqcache_cli.usage import SEED, usage
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.building import BuildReport


@click.command()
@click.argument("source", type=click.Path())
@click.argument("out", type=click.Path(), metavar="OUT.zarr")
@click.option(
    "--size",
    type=int,
    metavar="PIXELS",
    help="Make a fixed cache: short side resized to PIXELS, centre crop, every sample (192, PIXELS/8, PIXELS/8).",
)
@click.option("--exact", is_flag=True, help="With --size: int16 with steps of 1 instead of int8.")
@click.option(
    "--max-size",
    metavar="PIXELS|none",
    callback=pixels_or_none,
    default="512",
    show_default=True,
    help="Native caches: reduce images with a longer side to fit; none for no limit.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes of this machine.  [default: all cores]")
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="What does the work: processes of this machine, or the workers of a running Dask cluster.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="With --engine dask: of its scheduler, as tcp://10.0.0.1:8786, or the file that it writes.",
)
@click.option("--level", type=click.IntRange(1, 9), default=1, show_default=True, help="Compression level.")
@click.option("--shuffle/--no-shuffle", default=True, help="Shuffle the samples once.  [default: shuffle]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the shuffle.")
@click.option(
    "--on-corrupt",
    type=click.Choice(["skip", "keep", "fail"]),
    default="skip",
    show_default=True,
    help="Damaged files: leave out, keep what decodes, or end the build. Each is listed in the ledger.",
)
@click.option("--keep-orientation", is_flag=True, help="Leave EXIF orientation unapplied.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=100_000_000,
    show_default=True,
    help="Refuse files whose header promises more.",
)
@click.option(
    "--max-scans", type=click.IntRange(1), default=256, show_default=True, help="Refuse JPEGs with more scans."
)
@click.option("--overwrite", is_flag=True, help="Replace the store that stands at OUT.zarr.")
@verbosity
def command(
    source: str,
    out: str,
    *,
    size: int | None,
    exact: bool,
    max_size: int | None,
    workers: int | None,
    engine: str,
    scheduler: str | None,
    level: int,
    shuffle: bool,
    seed: int,
    on_corrupt: str,
    keep_orientation: bool,
    max_pixels: int,
    max_scans: int,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Build a cache of DCT coefficients from the images in SOURCE.

    SOURCE is a folder of class folders, or a folder with train/ and val/ (test/) of those. Or it is

    \b
      a manifest (.csv, .tsv) with the columns path, label and perhaps split;
      WebDataset tars: a .tar, a folder of them, or 'shard-{0000..0099}.tar' in quotes;
      Parquet files with images, as Hugging Face datasets have them: one, or a folder;
      a folder that save_to_disk of Hugging Face datasets wrote.

    Any but the last may be at a URL: s3://bucket/imagenet, 's3://bucket/train-{0000..0099}.tar', https://host/photos.csv.

    OUT.zarr is a folder to make, or a URL like s3://bucket/out.zarr. A build that was interrupted goes on when the
    same command is given again.
    """  # noqa: D301  (click's mark is the character itself)
    if engine == "dask" and workers is not None:
        msg = "--workers is of --engine local; a Dask cluster has workers of its own"
        raise click.UsageError(msg)
    if engine == "dask" and not scheduler:
        msg = "--engine dask needs the --scheduler ADDRESS of a running cluster"
        raise click.UsageError(msg)
    if engine != "dask" and scheduler is not None:
        msg = "--scheduler is of --engine dask"
        raise click.UsageError(msg)

    from freqcache.building import BuildOptions, build
    from freqcache.engines import DaskEngine
    from freqcache.extraction import ExtractionOptions
    from freqcache.jpeg import Limits

    with usage():
        options = BuildOptions(
            size=size,
            exact=exact,
            level=level,
            shuffle=shuffle,
            seed=seed,
            extraction=ExtractionOptions(
                max_size=max_size,
                on_corrupt=on_corrupt,
                keep_orientation=keep_orientation,
                limits=Limits(max_pixels=max_pixels, max_scans=max_scans),
            ),
        )
    cluster = DaskEngine(scheduler) if scheduler else None
    report = build(source, out, options, workers=workers, engine=cluster, overwrite=overwrite, quiet=quiet)
    if not quiet:
        click.echo(summary(report))


def summary(report: BuildReport) -> str:
    """Return the words that end a build."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    origins = ", ".join(f"{count} {name}" for name, count in report.origins.items())
    rate = report.n_read / max(report.seconds, 1e-9)
    lines = [
        f"{report.path}: {report.n_samples} images in {report.n_classes} classes ({splits})",
        f"  origin   {origins}, {report.n_failed} failed",
        f"  bytes    {in_words(report.bytes_in)} of images, {in_words(report.bytes_out)} of cache",
        f"  time     {report.seconds:.1f} s, {rate:.0f} images/s",
    ]
    if report.n_resumed:
        lines.append(f"  resumed  {report.n_resumed} shards were done already")
    if report.ignored:
        lines.append(f"  ignored  {report.ignored} files that are not named as images or not in a class")
    if report.empty_folders:
        lines.append(f"  empty    no image in {', '.join(report.empty_folders)}: not taken for a class")
    if report.saturated:
        lines.append(f"  clipped  {report.saturated} coefficients that did not fit the cache's steps")
    if report.ledger is not None:
        lines.append(f"  ledger   {report.ledger} lists {len(report.failures)} files with the reason")
    return "\n".join(lines)

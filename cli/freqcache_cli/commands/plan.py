"""``freqcache plan``: bytes, time and speed of a cache before it is built, from a sample of the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freqcache.tables import aligned
from freqcache_cli.pixel_sizes import pixels_or_none
from freqcache_cli.sizes import in_words
from freqcache_cli.usage import SEED, usage
from freqcache_cli.verbosity import verbosity

if TYPE_CHECKING:
    from freqcache.planning import OptionPlan, Plan, Share


@click.command("plan")
@click.argument("source", type=click.Path())
@click.option("--size", type=int, metavar="PIXELS", help="Plan one fixed cache: as of freqcache build.")
@click.option("--exact", is_flag=True, help="With --size: int16 with steps of 1 instead of int8.")
@click.option(
    "--max-size",
    metavar="PIXELS|none",
    callback=lambda context, parameter, value: None if value is None else (pixels_or_none(context, parameter, value),),
    help="Plan one native cache with this limit.",
)
@click.option("--level", type=click.IntRange(1, 9), help="Plan one cache with this compression level.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Files to read; more for narrower intervals.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the sample.")
@click.option("--workers", type=click.IntRange(1), help="Processes of the build.  [default: all cores]")
@click.option("--out", metavar="OUT.zarr", help="Where the cache would go: does it fit there?")
@click.option(
    "--temp",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the sample's small caches are made and removed.  [default: the system's temporary folder]",
)
@click.option("--reading/--no-reading", default=True, help="Also read them, mask by mask.  [default: reading]")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@verbosity
def command(
    source: str,
    *,
    size: int | None,
    exact: bool,
    max_size: tuple[int | None] | None,
    level: int | None,
    sample: int,
    seed: int,
    workers: int | None,
    out: str | None,
    temp: Path | None,
    reading: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what a build of SOURCE would make and how long it would take; nothing is kept.

    Some of the files are built into small caches in a temporary folder, and those are measured. Without --size,
    --max-size, --level or --exact several caches are compared.
    """
    from freqcache.building import BuildOptions
    from freqcache.extraction import ExtractionOptions
    from freqcache.planning import DEFAULT_MASKS, plan

    options = []
    if size is not None or exact or max_size is not None or level is not None:
        if size is not None and max_size is not None:
            msg = "--max-size is for native caches; one with --size crops from the full size"
            raise click.UsageError(msg)
        with usage():
            extraction = ExtractionOptions() if max_size is None else ExtractionOptions(max_size=max_size[0])
            options = [BuildOptions(size=size, exact=exact, level=level or 1, extraction=extraction)]
    planned = plan(
        source,
        options,
        sample=sample,
        seed=seed,
        workers=workers,
        out=out,
        temporary=temp,
        masks=DEFAULT_MASKS if reading else (),
        quiet=quiet,
    )
    click.echo(json.dumps(planned.to_dict(), indent=2) if as_json else summary(planned))


def summary(planned: Plan) -> str:
    """Return a plan in words and tables, at most 100 columns wide."""
    parts = [_about_source(planned), _about_stores(planned)]
    if any(option.reading for option in planned.options):
        parts.append(_about_reading(planned))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _about_source(planned: Plan) -> list[str]:
    splits = ", ".join(f"{name} {count}" for name, count in planned.splits.items())
    kinds = ", ".join(f"{count} {name}" for name, count in list(planned.kinds.items())[:5])
    smallest, median, largest = planned.sides
    read = "all of them read" if planned.sampled == planned.files else f"{planned.sampled} of them read"
    lines = [
        f"{planned.source}: {planned.files} files in {planned.classes} classes ({splits})",
        f"  bytes     {in_words(planned.bytes)}: {kinds}; {read} ({in_words(planned.sampled_bytes)})",
        f"  become    {_shares(planned.origins)}",
        f"  sampling  {_shares(planned.sampling)}",
        f"  sides     longer side {smallest} to {largest} pixels, median {median}; "
        f"{_percent(planned.turned)} turned by EXIF",
    ]
    for refusal in planned.refusals:
        shown = refusal.reason if len(refusal.reason) <= 60 else f"{refusal.reason[:57]}..."
        lines += [f"  refused   {_percent(refusal.share)}: {shown}"]
        lines += [f"            such as {name}" for name in refusal.names[:2]]
    if planned.ignored:
        lines.append(f"  ignored   {planned.ignored} files that are not named as images or not in a class folder")
    if planned.empty_folders:
        lines.append(f"  empty     {planned.empty_folders} folders without an image: not taken for classes")
    return lines


def _about_stores(planned: Plan) -> list[str]:
    rows = [("build", "cache", "+-", "/ source", "time", "images/s", "memory", "fits")]
    rows += [_store_row(planned, option) for option in planned.options]
    lines = aligned([row[:-1] for row in rows]) if planned.free is None else aligned(rows)
    seconds = planned.options[0].seconds
    factor = seconds.high / max(seconds.value, 1e-9)
    lines.append(
        f"+- is meant to hold in 95 of 100 cases. Time: {planned.workers} workers ({planned.speedup:.1f} times one), "
        f"right within a factor of {factor:.2g}."
    )
    if planned.free is not None:
        lines.append(f"{in_words(planned.free)} are free there. Memory: of each worker.")
    return lines


def _store_row(planned: Plan, option: OptionPlan) -> tuple[str, str, str, str, str, str, str, str]:
    return (
        _label(option),
        in_words(round(option.bytes.value)),
        f"{100 * option.bytes.relative:.1f} %",
        f"{option.bytes.value / max(1, planned.bytes):.2f}",
        _duration(option.seconds.value),
        f"{option.images_per_second:.0f}",
        in_words(option.peak_memory),
        {True: "yes", False: "no", None: "perhaps"}[option.fits],
    )


def _about_reading(planned: Plan) -> list[str]:
    masks = [reading.mask for reading in planned.options[0].reading]
    lines = ["bytes read per image, by channels of the mask"]
    lines += aligned(
        [("", *masks)]
        + [(_label(o), *(in_words(round(r.bytes_per_image)) for r in o.reading)) for o in planned.options]
    )
    lines += ["", "images/s that one thread reads, from a cache that the system holds in memory"]
    lines += aligned(
        [("", *masks)] + [(_label(o), *(f"{r.images_per_second:.0f}" for r in o.reading)) for o in planned.options]
    )
    native = next((r for o in planned.options for r in o.reading if r.cropped_bytes_per_image is not None), None)
    if native is not None and native.cropped_bytes_per_image is not None:
        lines.append(
            f"Random crops of a native cache mix frequencies: for {native.mask} channels they read "
            f"{in_words(round(native.cropped_bytes_per_image))}."
        )
    return lines


def _label(option: OptionPlan) -> str:
    return option.label or "native (defaults)"


def _percent(share: Share) -> str:
    """Return a share, and its interval where it is not exact."""
    value, low, high = (100 * part for part in (share.value, share.low, share.high))
    if low == high:
        return f"{value:.1f} %"
    return f"{value:.1f} % ({low:.1f}-{high:.1f})"


def _shares(shares: dict[str, Share]) -> str:
    return ", ".join(f"{name} {_percent(share)}" for name, share in shares.items() if share.sampled) or "nothing"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"

"""``freqcache info``: what a cache holds, and what takes its bytes."""

from __future__ import annotations

import json

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.info_text import words
from freqcache_cli.verbosity import verbose


@click.command("info")
@click.argument("cache", metavar="OUT.zarr")
@click.option("--classes", is_flag=True, help="List every class with its number of images.")
@click.option("--json", "as_json", is_flag=True, help="Everything, machine-readable: see docs/inspecting.md.")
@cache_options("cache")
@verbose
def command(cache: str, *, classes: bool, as_json: bool) -> None:
    """Tell what a cache holds, how it was made, and what takes its bytes.

    OUT.zarr is a folder, a zip file or a URL. Metadata, per-sample arrays and the shards' indexes are read, no
    coefficients: damage of those is not noticed here.
    """
    from freqcache.inspection import inspect_store

    report = inspect_store(cache)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else words(report, cache, all_classes=classes))

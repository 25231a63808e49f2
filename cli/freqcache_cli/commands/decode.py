"""``freqcache decode``: one sample of a cache as an image file."""

from __future__ import annotations

from pathlib import Path

import click

from freqcache_cli.cache_options import cache_options
from freqcache_cli.names import MASK, sample_split
from freqcache_cli.usage import IMAGES, ending_in
from freqcache_cli.verbosity import verbosity


@click.command("decode")
@click.argument("store", metavar="OUT.zarr")
@click.argument("index")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT.png", callback=ending_in(*IMAGES))
@sample_split
@click.option(
    "--channels", type=MASK, metavar="MASK", default="all", show_default=True, help="What a network of these sees."
)
@cache_options("store")
@verbosity
def command(store: str, index: str, out: Path, *, split: str | None, channels: str, quiet: bool) -> None:
    """Write sample INDEX of a cache to an image file: .png, .jpg, .ppm, .webp, .bmp or .tif.

    INDEX is a slot, or a source path or the end of one. A .jpg holds the coefficients themselves, losslessly; other
    files hold the pixels that libjpeg-turbo decodes from them.
    """
    from freqcache.exporting import save_sample

    saved = save_sample(store, index, out, split=split, channels=channels)
    source = saved.source_path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if not quiet:
        click.echo(f"{saved.path}: {saved.width}x{saved.height}, {saved.class_name}, {saved.origin}, {source}")

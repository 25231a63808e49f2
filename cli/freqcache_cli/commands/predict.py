"""``freqcache predict``: classes of image files by a run's network."""

from __future__ import annotations

from pathlib import Path

import click

from freqcache_cli.pixel_sizes import pixels_or_none


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), metavar="IMAGE...", nargs=-1, required=True)
@click.option("-k", type=click.IntRange(1), default=5, show_default=True, help="Classes to name for each image.")
@click.option("--exact", is_flag=True, help="The run's cache was built with --size and --exact.")
@click.option(
    "--max-size",
    metavar="PIXELS|none",
    callback=pixels_or_none,
    default="512",
    show_default=True,
    help="The --max-size that the run's native cache was built with.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(run: Path, images: tuple[Path, ...], *, k: int, exact: bool, max_size: int | None, device: str) -> None:
    """Print the most probable classes of each IMAGE, by the network of RUN.

    JPEG files are not decoded to pixels. An image gives the network what its sample in the run's cache would give.
    """
    from freqcache.building import BuildOptions
    from freqcache.extraction import ExtractionOptions
    from freqcache.inference import Classifier
    from freqcache.training import load_run

    trained = load_run(run)
    side = 8 * trained.grid[0] if trained.config.size is None else None  # of a fixed cache, the only kind with --exact
    build = BuildOptions(size=side, exact=exact, extraction=ExtractionOptions(max_size=max_size))
    classifier = Classifier(trained, build=build, device=device)
    for image in images:
        (predictions,) = classifier.predict([image], k)
        click.echo(f"{image}: {', '.join(f'{label} {probability:.4f}' for label, probability in predictions)}")

"""``freqcache predict``: classes of image files by a run's network."""

from __future__ import annotations

from pathlib import Path

import click

from freqcache_cli.verbosity import verbosity


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), metavar="IMAGE...", nargs=-1, required=True)
@click.option("-k", type=click.IntRange(1), default=5, show_default=True, help="Classes to name for each image.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@verbosity
def command(run: Path, images: tuple[Path, ...], *, k: int, device: str, quiet: bool) -> None:  # noqa: ARG001
    """Print the most probable classes of each IMAGE, by the network of RUN.

    JPEG files are not decoded to pixels. An image gives the network what its sample in the run's cache would give.
    """
    from freqcache.inference import Classifier

    classifier = Classifier.load(run, device=device)
    for image in images:
        (predictions,) = classifier.predict([image], k)
        click.echo(f"{image}: {', '.join(f'{label} {probability:.4f}' for label, probability in predictions)}")

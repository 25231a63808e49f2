"""``freqcache export-model``: a run's network as a file by itself."""

from __future__ import annotations

from pathlib import Path

import click

from freqcache_cli.sizes import in_words
from freqcache_cli.usage import ending_in
from freqcache_cli.verbosity import verbosity


@click.command("export-model")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), callback=ending_in(".pt2", ".ts"))
@click.option(
    "--form",
    type=click.Choice(["export", "torchscript"]),
    help="What OUT is, a .pt2 of torch.export or a .ts of TorchScript.  [default: by its ending]",
)
@verbosity
def command(run: Path, out: Path, *, form: str | None, quiet: bool) -> None:
    """Write the network of RUN to OUT, a file that torch runs without freqcache.

    It takes dequantized coefficients of the run's channels and returns logits; the normalization is inside. What its
    channels and classes are is said in the extra file freqcache.json in it.
    """
    from freqcache.export import FORMS, export_network

    if form is None:
        form = next((name for name, ending in FORMS.items() if ending == out.suffix.lower()), "export")
    elif out.suffix.lower() != FORMS[form]:
        msg = f"{out}: expected a name that ends in {FORMS[form]} for --form {form}"
        raise click.UsageError(msg)
    described = export_network(run, out, form=form)
    if quiet:
        return
    rows, columns = described["grid"]
    click.echo(
        f"{out}: {in_words(out.stat().st_size)}, {len(described['channels'])} channels on {rows}x{columns} blocks "
        f"to {len(described['classes'])} classes"
    )

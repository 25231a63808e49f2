"""Every Python block of the README and of docs/ runs, in order, document by document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import cli

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "formats").rglob("*.md")),
]
WITH_BLOCKS = [path for path in DOCUMENTS if BLOCK.search(path.read_text(encoding="utf-8"))]


def test_the_readme_has_blocks() -> None:
    assert ROOT / "README.md" in WITH_BLOCKS


@pytest.mark.parametrize("document", WITH_BLOCKS, ids=lambda path: path.name)
def test_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a source ``photos`` and a native cache of it, ``native.zarr``."""
    monkeypatch.chdir(tmp_path)
    write_tree(Path("photos"))
    freqcache.build("photos", "native.zarr", workers=1, quiet=True)
    names: dict[str, object] = {}
    for match in BLOCK.finditer(document.read_text(encoding="utf-8")):
        line = document.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
        exec(compile(match[1], f"{document.name}:{line}", "exec"), names)


COMMANDS = [
    (path.name, line)
    for path in DOCUMENTS
    for block in re.findall(r"^```text\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("freqcache ")
]


@pytest.mark.parametrize(("document", "line"), COMMANDS)
def test_commands_are_ones_that_there_are(document: str, line: str) -> None:
    """Every option and choice of a command shown exists, and its arguments are as many as it takes."""
    name, *arguments = shlex.split(re.split(r" {2,}", line)[0])[1:]
    command = cli.get_command(click.Context(cli), name)
    while isinstance(command, click.Group):
        assert arguments, f"{name} has subcommands, and none is shown"
        name, command, arguments = command.resolve_command(click.Context(command), arguments)
    assert command is not None
    assert name is not None
    command.make_context(name, arguments)


def test_the_readme_reads_what_freqcache_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block without freqcache gives the same coefficients as the library."""
    monkeypatch.chdir(tmp_path)
    write_tree(Path("photos"))
    freqcache.build("photos", "native.zarr", workers=1, quiet=True)
    freqcache.build("photos", "photos.zarr", freqcache.BuildOptions(size=64), workers=1, quiet=True)
    (block,) = [b for b in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "import zarr" in b]
    names: dict[str, object] = {}
    exec(block, names)
    mask = freqcache.ChannelMask.load("all")
    (native,) = freqcache.open("native.zarr")["train"].read([0], mask)
    luma = native.coefficients[0] * native.quantization[0].astype("int32")[:, None, None]
    assert (names["luma"] == luma).all()
    split = freqcache.open("photos.zarr")["train"]
    assert (names["dense"] == split.read([0], mask)[0] * split.quantization[:, None, None]).all()

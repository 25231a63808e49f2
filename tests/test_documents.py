"""Every code block of the documents is run or checked.

- ``python`` runs, in order, document by document, in a folder with a source ``photos`` and a native cache
  ``native.zarr``.
- ``sh``, and the ``freqcache`` and ``torchrun`` lines of ``text``: each command exists and takes what it is given. They
  are not run, because they install things or take hours; those of the README are run by ``.ci/run``, those of the
  tutorial by ``test_tutorial.py``, with its Python.
- A block after a line ``<!-- not run: REASON -->`` is not run; Python must be Python all the same. Other languages need
  such a line.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import click
import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import cli
from freqcache_cli.names import MASK

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.M | re.S
)
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "formats" / "v1").glob("*.md")),
    ROOT / "formats" / "v1" / "conformance" / "README.md",
]
RUN_ELSEWHERE = {"tutorial.md"}
OF_THE_SITE = {"{toctree}", "{eval-rst}", "{commands}"}
PROGRAMS = {"freqcache", "pip", "python", "python3", "pytest", "ruff", "mypy", "sh", "bash", "git", "cd"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a document."""

    document: Path
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document=document,
            line=text.count("\n", 0, found.start("code")),
            language=found["language"],
            code=found["code"],
            reason=found["reason"],
        )
        for found in FENCE.finditer(text)
    ]


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
RUN = [block for block in PYTHON if block.reason is None and block.document.name not in RUN_ELSEWHERE]
BY_DOCUMENT = [list(blocks) for _, blocks in groupby(RUN, key=lambda block: block.document)]


def commands_of(block: Block) -> list[str]:
    """Return the command lines of a block of sh, or of the lines of text that are commands, without their remarks."""
    if block.language == "sh":
        lines = re.sub(r"\\\n\s*", "", block.code).splitlines()
        return [part for line in lines for part in re.split(r"&&|;", re.split(r"\s+#", line)[0]) if part.strip()]
    starts = ("freqcache ", "torchrun ")
    return [re.split(r" {2,}", line)[0] for line in block.code.splitlines() if line.startswith(starts)]


COMMANDS = [
    (block, line.strip()) for block in BLOCKS if block.language in {"sh", "text"} for line in commands_of(block)
]


def test_the_readme_and_most_pages_have_blocks() -> None:
    assert ROOT / "README.md" in {block.document for block in RUN}
    assert len(RUN) > 15
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("blocks", BY_DOCUMENT, ids=lambda blocks: blocks[0].document.name)
def test_python_runs(blocks: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tree(Path("photos"))
    freqcache.build("photos", "native.zarr", workers=1, quiet=True)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block.code, str(block), "exec"), names)


def test_python_that_does_not_run_is_python() -> None:
    for block in PYTHON:
        compile(block.code, str(block), "exec")


def test_blocks_of_other_languages_say_why_they_do_not_run() -> None:
    known = {"python", "sh", "text", "json", *OF_THE_SITE}
    unsaid = [str(block) for block in BLOCKS if block.language.split(" ")[0] not in known and block.reason is None]
    assert not unsaid


def parse(arguments: list[str]) -> None:
    """Parse a command line of freqcache, through groups of commands, without running it."""
    parent, group = click.Context(cli, info_name="freqcache"), cli
    while True:
        name, *arguments = arguments
        if name in {"--version", "--help"}:
            return
        command = group.get_command(parent, name)
        assert command is not None, f"there is no command {name}"
        context = command.make_context(name, list(arguments), parent=parent)
        if not isinstance(command, click.Group):
            return
        parent, group, arguments = context, command, [*context._protected_args, *context.args]


def check(line: str) -> None:
    """Check a command line: its program, its files in the repository, its extras, its options."""
    words = shlex.split(line)
    while "=" in words[0]:  # NAME=VALUE before a command
        words.pop(0)
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if "freqcache_cli.main" in arguments:  # python -m, torchrun -m
        program, arguments = "freqcache", arguments[arguments.index("freqcache_cli.main") + 1 :]
    assert program in PROGRAMS, f"{program} is not known"
    if program == "freqcache":
        if "COMMAND" not in arguments:
            parse(arguments)
        return
    for argument in arguments:
        if (argument.endswith((".py", ".mjs", ".sh", ".txt")) and "/" in argument) or argument == "constraints.txt":
            assert (ROOT / argument).exists(), f"{argument} is not there"
        extras = re.fullmatch(r"(?:\.|freqcache)\[([^]]*)\]", argument)
        if extras is not None:
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(extras[1].split(",")) <= set(known), f"{argument}: {sorted(known)}"


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=lambda value: str(value))
def test_commands_are_ones_that_there_are(block: Block, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option and choice of a command shown exists, and its arguments are as many as it takes."""
    monkeypatch.setattr(MASK, "_load", None)  # the files that are shown are not there
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        "freqcache build a",
        "freqcache bild a b",
        "freqcache train --lamb 1",
        "python tests/none.py",
        "pip install '.[non]'",
    ],
)
def test_a_command_that_there_is_not_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        check(line)


def test_the_readme_reads_what_freqcache_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block without freqcache gives the same coefficients as the library."""
    monkeypatch.chdir(tmp_path)
    write_tree(Path("photos"))
    freqcache.build("photos", "native.zarr", workers=1, quiet=True)
    freqcache.build("photos", "photos.zarr", freqcache.BuildOptions(size=64), workers=1, quiet=True)
    (block,) = [b.code for b in RUN if b.document == ROOT / "README.md" and "import zarr" in b.code]
    names: dict[str, object] = {}
    exec(block, names)
    mask = freqcache.ChannelMask.load("all")
    (native,) = freqcache.open("native.zarr")["train"].read([0], mask)
    luma = native.coefficients[0] * native.quantization[0].astype("int32")[:, None, None]
    assert (names["luma"] == luma).all()
    split = freqcache.open("photos.zarr")["train"]
    assert (names["dense"] == split.read([0], mask)[0] * split.quantization[:, None, None]).all()

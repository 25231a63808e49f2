"""Runs the commands and blocks of ``docs/tutorial.md``; as a script, makes the pictures that it shows.

    python tests/tutorial.py        # some three minutes; then look at docs/images

Commands are run in this process, one after the other, in a folder that has the sample photographs where a clone has
them. The pictures in the repository are those of the commands, large ones with fewer colours. Beside them
``made-from.txt`` holds a digest of the commands and blocks that made them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PICTURES = ROOT / "docs" / "images"
MADE_FROM = PICTURES / "made-from.txt"
MOST_BYTES = 150_000


@dataclass(frozen=True, kw_only=True)
class Step:
    """A block of the tutorial that does something, and the output shown after it."""

    language: str
    code: str
    line: int
    shown: str


def steps(text: str) -> list[Step]:
    """Return the sh and python blocks of a page, each with the text block that follows it."""
    blocks = list(re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    found = []
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block[1] in {"sh", "python"}:
            shown = after[2] if after is not None and after[1] == "text" else ""
            found.append(
                Step(language=block[1], code=block[2], line=text[: block.start()].count("\n") + 2, shown=shown)
            )
    return found


def pictures(text: str) -> list[str]:
    """Return the names of the pictures that a page shows."""
    return re.findall(r"!\[[^]]*\]\(images/([^)]+)\)", text)


def digest(text: str) -> str:
    """Return what the pictures are made from, as a hexadecimal SHA-256."""
    return hashlib.sha256("\n".join(step.code for step in steps(text)).encode()).hexdigest()


def prepare(folder: Path) -> None:
    """Put the sample photographs where a clone has them."""
    (folder / "freqcache").mkdir()
    (folder / "freqcache" / "samples").symlink_to(ROOT / "freqcache" / "samples")


def run(step: Step, names: dict[str, object], more: dict[str, list[str]]) -> None:
    """Run a step in the current folder.

    Parameters
    ----------
    step : Step
    names : dict
        Names of the Python blocks, shared by all.
    more : dict of str to list of str
        Options to add to a subcommand.
    """
    from freqcache_cli.main import main

    if step.language == "python":
        exec(compile("\n" * (step.line - 1) + step.code, TUTORIAL.name, "exec"), names)
        return
    for line in step.code.splitlines():
        program, subcommand, *arguments = shlex.split(line)
        if program != "freqcache":
            raise ValueError(f"{TUTORIAL.name}: {line}: only freqcache commands can be run")
        status = main([subcommand, *arguments, *more.get(subcommand, [])])
        if status != 0:
            raise RuntimeError(f"{TUTORIAL.name}: {line}: exit status {status}")


def reduce(picture: Path, out: Path) -> None:
    """Write a picture as it is, or else with as many colours as it may have."""
    from PIL import Image

    if picture.stat().st_size < MOST_BYTES:
        shutil.copyfile(picture, out)
        return
    with Image.open(picture) as image:
        for colours in (256, 128, 64):
            image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(out, optimize=True)
            if out.stat().st_size < MOST_BYTES:
                return
    raise ValueError(f"{picture}: more than {MOST_BYTES:,} bytes in 64 colours")


def make_pictures() -> None:
    """Run the tutorial as it stands, and put its pictures into the repository."""
    text = TUTORIAL.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare(Path(folder))
        for step in steps(text):
            run(step, names, {})
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir()
        for name in pictures(text):
            reduce(Path(name), PICTURES / name)
            print(f"{name}: {(PICTURES / name).stat().st_size:,} bytes")
    MADE_FROM.write_text(f"{digest(text)}  the sh and python blocks of docs/tutorial.md; python tests/tutorial.py\n")


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "cli"), str(ROOT / "formats")]
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MPLBACKEND", "agg")
    make_pictures()

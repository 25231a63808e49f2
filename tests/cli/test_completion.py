"""Completion as shells ask for it: through the environment, from a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from freqcache_cli.main import COMPLETE, main

SCRIPT = (
    "import sys; from freqcache_cli.main import main; status = main(); "
    "assert not {'torch', 'zarr', 'numba', 'scipy', 'PIL'} & set(sys.modules); sys.exit(status)"
)


def complete(line: str, word: int) -> list[str]:
    """Return what bash's protocol gives for the last word of a line."""
    asked = os.environ | {"COMP_WORDS": line, "COMP_CWORD": str(word), COMPLETE: "bash_complete"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=asked, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "word", "found"),
    [
        ("freqcache exp", 1, ["plain,export", "plain,export-model"]),
        ("freqcache train --chan", 2, ["plain,--channels"]),
        ("freqcache build --on-corrupt k", 3, ["plain,keep"]),
        ("freqcache train --channels 24-l", 3, ["file,24-l", "plain,24-learned"]),
        ("freqcache train --recipe dem", 3, ["file,dem", "plain,demo"]),
        ("freqcache build pho", 2, ["file,pho"]),
        ("freqcache completion z", 2, ["plain,zsh"]),
    ],
)
def test_the_protocol(line: str, word: int, found: list[str]) -> None:
    assert complete(line, word) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert COMPLETE in script
    assert f"{shell}_complete" in script


def test_in_bash(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    command = tmp_path / "freqcache"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m freqcache_cli.main "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(freqcache completion bash)"; COMP_WORDS=(freqcache hot x --channels 24-); COMP_CWORD=4; '
        '_freqcache_completion freqcache 2>/dev/null; echo "${COMPREPLY[@]}"'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    python = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        env=os.environ | {"PATH": path, "PYTHONPATH": python},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["24-learned", "24-square"], done.stderr

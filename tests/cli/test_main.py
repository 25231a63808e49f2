"""The command line as a whole: what it loads, what its errors look like."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from freqcache import __version__
from freqcache.errors import BuildError
from freqcache_cli import main as main_module
from freqcache_cli.main import _COMMANDS, main


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([name, "--help"] for name in sorted(_COMMANDS))],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from freqcache_cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'zarr', 'numba', 'scipy', 'PIL', 'matplotlib', 'numcodecs', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: freqcache" in done.stdout


def test_importing_freqcache_loads_nothing_heavy() -> None:
    script = "import sys, freqcache; assert not {'torch', 'zarr', 'numba', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["build"], ["build", "--sise", "3", "a", "b"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BuildError("x.jpg: bad"), 1, "freqcache: error: x.jpg: bad\n"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line(
    error: BaseException,
    status: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(main_module._LazyGroup, "get_command", lambda *_: failing)
    assert main(["build"]) == status
    shown = capsys.readouterr().err
    assert line in shown
    assert len(shown.strip().splitlines()) == 1

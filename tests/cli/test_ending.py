"""How commands end: signals, closed pipes, colours, -q and -v, versions and near matches."""

from __future__ import annotations

import errno
import logging
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from build_process import TIMEOUT, command, everything, write_source

import freqcache
from freqcache.errors import BuildError
from freqcache_cli.main import _COMMANDS, cli, main

FREQCACHE = [sys.executable, "-m", "freqcache_cli.main"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@pytest.mark.parametrize(
    ("signals", "group", "status", "word"),
    [
        ("INT", False, 130, "interrupted"),
        ("INT", True, 130, "interrupted"),
        ("TERM", False, 143, "terminated"),
        ("TERM", True, 143, "terminated"),
    ],
)
def test_a_signal_leaves_a_build_that_goes_on(
    tmp_path: Path, signals: str, group: bool, status: int, word: str
) -> None:
    source, out = write_source(tmp_path / "photos", per_class=7), tmp_path / "out.zarr"
    loud = [part for part in command(source, out, size=None, workers=2) if part != "--quiet"]
    process = subprocess.Popen(
        loud,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a shell's background jobs ignore it
    )
    assert process.stderr is not None
    lines = [process.stderr.readline()]  # the first headers are read: workers are at work
    (os.killpg if group else os.kill)(process.pid, getattr(signal, f"SIG{signals}"))
    lines += process.communicate(timeout=TIMEOUT)[1].splitlines(keepends=True)
    assert process.returncode == status, lines
    assert lines[-1] == f"freqcache: {word}; the same command goes on from here\n"
    assert not any("Traceback" in line for line in lines)
    assert not (out / "zarr.json").exists()
    if (signals, group) == ("INT", False):
        assert subprocess.run(loud, capture_output=True, timeout=TIMEOUT).returncode == 0
        again = tmp_path / "again.zarr"
        again.mkdir()
        assert subprocess.run(command(source, again / out.name, size=None, workers=1), timeout=TIMEOUT).returncode == 0
        assert everything(out) == everything(again / out.name)


def test_a_closed_pipe_is_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [*FREQCACHE, "completion", "bash"], stdout=closed, stderr=subprocess.PIPE, env=ENVIRONMENT
        )
    assert done.returncode == 141
    assert done.stderr == b""


def on_terminal(**variables: str) -> str:
    """Return what a failing command writes to a terminal."""
    ours, theirs = pty.openpty()
    asked = {name: value for name, value in ENVIRONMENT.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    asked |= {"TERM": "xterm"} | variables
    subprocess.run([*FREQCACHE, "build", "/nowhere", "x.zarr"], stderr=theirs, env=asked)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError as error:
        assert error.errno == errno.EIO  # a terminal whose other end is closed  # noqa: PT017
    os.close(ours)
    return shown.decode()


def test_an_error_is_red_on_a_terminal_that_has_colours() -> None:
    assert "\x1b[31mfreqcache: error:\x1b[0m /nowhere: no such folder" in on_terminal()
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal(**variables)


def test_force_color(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["build", "/nowhere", "x.zarr"]) == 1
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["build", "/nowhere", "x.zarr"]) == 1
    assert "\x1b[31m" in capsys.readouterr().err


RESULTS_ALONE = {
    "info",
    *(f"plot {name}" for name in ("curves", "heatmap", "reconstruction", "statistics", "sweep", "tiles")),
}


@pytest.mark.parametrize("name", sorted(set(_COMMANDS) - {"completion", "plot"} | RESULTS_ALONE))
def test_every_command_can_be_quiet_and_verbose(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert ("-q, --quiet" in shown) == (name not in RESULTS_ALONE)
    assert "-v, --verbose" in shown


def test_verbose_names_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "photos", per_class=1)
    assert main(["build", str(source), str(tmp_path / "out.zarr"), "--workers", "1", "-v"]) == 0
    said = capsys.readouterr().err
    assert "left out train/ant/text.jpg: " in said
    assert "shards took " in said
    assert logging.getLogger("freqcache").level == logging.NOTSET
    assert main(["build", str(source), str(tmp_path / "more.zarr"), "--workers", "1"]) == 0
    assert "left out" not in capsys.readouterr().err


def test_verbose_names_the_cause_and_more_verbose_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise OSError(errno.EIO, "the disk is broken")
        except OSError as error:
            msg = "cannot build"
            raise BuildError(msg) from error

    monkeypatch.setattr("freqcache.building.build", fail)
    shown = []
    for flags in ([], ["-v"], ["-vv"]):
        assert main(["build", "a", "b", *flags]) == 1
        shown.append(capsys.readouterr().err)
    assert shown[0] == "freqcache: error: cannot build\n"
    assert shown[1].splitlines()[1] == "freqcache: caused by OSError: [Errno 5] the disk is broken"
    assert "Traceback" not in shown[1]
    assert "Traceback" in shown[2]


def test_quiet_and_verbose_contradict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "a", "b", "-q", "-v"]) == 2
    assert "-q and -v contradict" in capsys.readouterr().err


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "-v"]) == 0
    shown = capsys.readouterr().out
    assert f"freqcache {freqcache.__version__} (Python " in shown
    assert all(name in shown for name in ("numpy", "torch", "zarr", "numba", "platform"))


@pytest.mark.parametrize(
    ("arguments", "status", "near"),
    [
        (["bild"], 2, "Did you mean build?"),
        (["build", "--sise", "8", "a", "b"], 2, "--size"),
        (["hot", "x.zarr", "--channels", "24-learnd"], 2, "did you mean 24-learned?"),
        (["train", "x.zarr", "--recipe", "imagenet16"], 2, "did you mean imagenet-16?"),
    ],
)
def test_near_matches(arguments: list[str], status: int, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    assert near in capsys.readouterr().err


def test_nothing_typed_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert "Exit status" in shown
    assert all(name in shown for name in cli.list_commands(None))  # type: ignore[arg-type]

"""``freqcache build --engine``: what is wrong usage, and what cannot be reached."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

import freqcache
from freqcache.engines import DaskEngine
from freqcache.errors import BuildError
from freqcache_cli.main import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler is of --engine dask"),
        (["--engine", "dask"], "needs the --scheduler ADDRESS"),
        (
            ["--engine", "dask", "--scheduler", "tcp://127.0.0.1:8786", "--workers", "2"],
            "--workers is of --engine local",
        ),
        (["--engine", "spark"], "'spark'"),
    ],
)
def test_wrong_usage(
    photos: Path, out: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(photos), str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_without_distributed_the_extra_is_named(
    photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["build", str(photos), str(out), "--engine", "dask", "--scheduler", "tcp://127.0.0.1:8786"]) == 1
    shown = capsys.readouterr().err
    assert "freqcache[dask]" in shown
    assert len(shown.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "address", ["somewhere", "http://127.0.0.1:80", "tcp://127.0.0.1:abc", "{folder}/none.json", "{file}"]
)
def test_what_is_no_address(
    photos: Path, out: Path, tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="no distributed: pip install 'freqcache[dask]'")
    (tmp_path / "file").write_text('{"workers": {}}')
    address = address.format(folder=tmp_path, file=tmp_path / "file")
    assert main(["build", str(photos), str(out), "--engine", "dask", "--scheduler", address]) == 1
    shown = capsys.readouterr().err
    assert f"{address}: neither the address of a Dask scheduler" in shown
    assert len(shown.splitlines()) == 1
    assert not out.exists()


def test_a_scheduler_that_is_not_there(photos: Path, out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="no distributed: pip install 'freqcache[dask]'")
    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BuildError, match=f"{address}: no Dask scheduler can be reached there"):
            freqcache.build(photos, out, engine=DaskEngine(address, timeout=0.5))
    assert capfd.readouterr() == ("", "")
    assert not out.exists()

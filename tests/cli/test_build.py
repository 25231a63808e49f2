"""``freqcache build`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", per_class=4)


def test_summary(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "train" / "ant" / "bad.jpg").write_text("text")
    out = tmp_path / "out.zarr"
    assert main(["build", str(source), str(out), "--workers", "1", "--max-size", "none"]) == 0
    shown = capsys.readouterr().out
    assert f"{out}: 16 images in 2 classes (train 8, val 8)" in shown
    assert "16 extracted, 0 reduced, 0 computed, 1 failed" in shown
    assert "images/s" in shown
    assert f"{tmp_path / 'out.zarr.ledger.jsonl'} lists 1 files" in shown


def test_limits_refuse_by_the_header(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", str(source), str(tmp_path / "out.zarr"), "--workers", "1", "--max-pixels", "2500"]
    assert main(arguments) == 0
    assert ", 0 failed" not in capsys.readouterr().out
    assert "2500" in (tmp_path / "out.zarr.ledger.jsonl").read_text()


def test_fixed(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    assert main(["build", str(source), str(out), "--workers", "1", "--size", "64", "--exact", "-q"]) == 0
    split = freqcache.open(out)["train"]
    assert split.read([0], freqcache.ChannelMask.load("6")).dtype == "int16"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{photos}/gone", "{out}"], 1, "no such folder"),
        (["{empty}", "{out}"], 1, "it is empty"),
        (["{photos}", "{photos}"], 1, "its own source"),
        (["{photos}", "{file}"], 1, "is not a freqcache store"),
        (["{photos}", "{out}", "--size", "100"], 2, "multiple of 8"),
        (["{photos}", "{out}", "--max-size", "big"], 2, "neither a number of pixels nor none"),
        (["{photos}", "{out}", "--on-corrupt", "ignore"], 2, "ignore"),
        (["{photos}", "/proc/nowhere/out.zarr"], 1, "cannot be written"),
    ],
)
def test_errors(
    source: Path,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("precious")
    names = {
        "photos": source,
        "out": tmp_path / "out.zarr",
        "empty": tmp_path / "empty",
        "file": tmp_path / "file",
    }
    filled = [argument.format(**names) for argument in arguments]
    assert main(["build", *filled, "--workers", "1"]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    if status == 1:
        assert len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "out.zarr").exists()
    assert (tmp_path / "file").read_text() == "precious"

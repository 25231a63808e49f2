"""``freqcache plan`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photographs import write_tree

from freqcache_cli.main import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", per_class=4)


def test_tables_fit_the_page(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.zarr"
    arguments = [
        "plan",
        str(source),
        "--size",
        "32",
        "--workers",
        "1",
        "--out",
        str(out),
        "--temp",
        str(tmp_path),
        "-q",
    ]
    assert main(arguments) == 0
    shown, said = capsys.readouterr()
    assert f"{source}: 16 files in 2 classes (train 8, val 8)" in shown
    assert "all of them read" in shown
    assert any(line.startswith("--size 32") and line.endswith("yes") for line in shown.splitlines())
    assert "bytes read per image" in shown
    assert all(len(line) <= 100 for line in shown.splitlines() if str(source) not in line)
    assert said == ""
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", str(source), "--max-size", "none", "--workers", "1", "--no-reading", "--json", "-q"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == 16
    assert document["options"][0]["options"]["max_size"] is None
    assert document["options"][0]["bytes"]["low"] <= document["options"][0]["bytes"]["value"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{photos}/gone"], 1, "no such folder"),
        (["{empty}"], 1, "it is empty"),
        (["{file}"], 1, "not a source"),
        (["{photos}", "--size", "100"], 2, "multiple of 8"),
        (["{photos}", "--exact"], 2, "exact"),
        (["{photos}", "--size", "32", "--max-size", "64"], 2, "--max-size is for native caches"),
        (["{photos}", "--sample", "0"], 2, "--sample"),
        (["{photos}", "--temp", "/nowhere"], 1, "no temporary folder can be made"),
        (["{photos}", "--temp", "{photos}/train", "--size", "32"], 1, "inside its own source"),
    ],
)
def test_errors(
    source: Path, tmp_path: Path, arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("precious")
    names = {"photos": source, "empty": tmp_path / "empty", "file": tmp_path / "file"}
    assert main(["plan", *(word.format(**names) for word in arguments), "--workers", "1", "-q"]) == status
    error = capsys.readouterr().err
    assert message in error
    if status == 1:
        assert len(error.strip().splitlines()) == 1

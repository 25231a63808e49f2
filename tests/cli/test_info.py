"""``freqcache info``: what it says, and one line for what cannot be told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photographs import encoded, write_tree

import freqcache
from freqcache.inspection import inspect_store
from freqcache_cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-info")
    write_tree(folder / "photos")
    (folder / "photos/train/bee/broken.jpg").write_bytes(encoded(99, 64, 64)[:-40])
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", freqcache.BuildOptions(size=48), workers=1, quiet=True)
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("kind", ["native", "fixed"])
def test_a_screenful_says_it_all(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / f"{kind}.zarr"
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == f"{path}: a {kind} cache of 28 images and 1 absent slot in 2 classes"
    assert len(lines) <= 45
    assert all(len(line) <= 100 for line in lines[1:])
    assert all(line == line.rstrip() for line in lines)
    assert freqcache.open(path).id in text
    assert "1 file: 1 left out" in text
    if kind == "native":
        assert "extracted 20 (71 %), computed 8 (29 %)" in text
        assert "IJG 70: 4 (14 %), 75: 4 (14 %), 80: 4 (14 %)" not in text  # 2.jpg and the gray one have 80
        assert "IJG 80: 8 (29 %), 70: 4 (14 %), 75: 4 (14 %), 100: 4 (14 %)" in text
    else:
        assert "not recorded" in text
        assert "6 x 6 blocks (48 x 48 pixels)" in text


def test_classes_are_listed_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder / "native.zarr")]) == 0
    assert "from 14 images (ant) to 14 (ant)" in capsys.readouterr().out
    assert main(["info", str(folder / "native.zarr"), "--classes"]) == 0
    assert "  classes   ant  14\n            bee  14\n" in capsys.readouterr().out


def test_json_is_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(folder / "fixed.zarr")]) == 0
    assert json.loads(capsys.readouterr().out) == inspect_store(folder / "fixed.zarr").to_dict()


def test_a_hot_copy_and_a_zip_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / "fixed.zarr", tmp_path / "a.zarr")
    freqcache.make_hot(tmp_path / "a.zarr", "6", quiet=True)
    assert main(["info", str(tmp_path / "a.zarr")]) == 0
    assert "hot copy  6 channels, " in capsys.readouterr().out
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", folder / "native.zarr")
    assert main(["info", archive]) == 0
    assert "28 images and 1 absent slot" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Missing argument 'OUT.zarr'"),
        (["{folder}/native.zarr", "--sizes"], 2, "No such option"),
        (["{folder}/gone.zarr"], 1, "gone.zarr: no such store"),
        (["{folder}/empty"], 1, "not a freqcache store"),
        (["{folder}/photos"], 1, "not a freqcache store"),
        (
            ["{folder}/native.zarr.ledger.jsonl"],
            1,
            "neither a store's folder nor a zip file of one: File",
        ),
        (["nothing://here"], 1, "nothing://here: cannot be opened"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert main(["info", *(word.format(folder=folder) for word in arguments)]) == status
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not shown.out
    if status == 1:
        assert len(shown.err.splitlines()) == 1


def test_a_build_that_did_not_finish(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "half.zarr"
    shutil.copytree(folder / "native.zarr", path)
    (path / "zarr.json").unlink()
    (path / ".build").mkdir()
    for command in ("info", "bench"):
        assert main([command, str(path)]) == 1
        assert "its build did not finish; repeat the command" in capsys.readouterr().err

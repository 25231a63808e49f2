"""``freqcache bench``: its tables, and one line for what cannot be measured. No time is tested."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import main

QUICK = ["--seconds", "0.3", "--repeats", "2", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-bench")
    write_tree(folder / "photos")
    freqcache.build(folder / "photos", folder / "out.zarr", workers=1, quiet=True)
    (folder / "empty").mkdir()
    return folder


def test_the_tables_fit_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder / "out.zarr"), "--channels", "6", "--channels", "24-learned", "--source"]
    assert main(["bench", *arguments, str(folder / "photos"), *QUICK]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == f"{folder / 'out.zarr'}: a native cache, split train of 14 images"
    assert all(len(line) <= 100 for line in lines[1:])
    assert lines[3] == "page cache warm: bytes come from memory"
    assert lines[4].split() == ["channels", "order", "an", "image", "images/s", "±", "MB/s", "ms/batch", "×", "Pillow"]
    assert [line.split("  ")[1] for line in lines[5:12]] == ["6"] * 3 + ["24-learned (24)"] * 3 + ["Pillow, to RGB"]
    assert "GB/s from memory to memory" in shown.out
    assert shown.err == ""


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder / "out.zarr"), "--split", "val", "--order", "groups", "--state", "warm", "--json"]
    assert main(["bench", *arguments, *QUICK]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["report_version"] == 1
    assert document["split"] == "val"
    assert [m["n_channels"] for m in document["measurements"]] == [6, 24, 64, 192]
    for measurement in document["measurements"]:
        assert 0 < measurement["images"] <= 14  # as many as the seconds allow
        assert measurement["images_per_second"] > 0
        assert measurement["pillow_ratio"] is None


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Missing argument 'OUT.zarr'"),
        (["{folder}/out.zarr", "--threads", "0"], 2, "--threads"),
        (["{folder}/out.zarr", "--seconds", "0"], 2, "--seconds"),
        (["{folder}/out.zarr", "--order", "random"], 2, "--order"),
        (["{folder}/out.zarr", "--channels", "25"], 2, "no such mask file, and no preset"),
        (["{folder}/out.zarr", "--split", "test"], 1, "no split 'test'; it has train, val"),
        (["{folder}/out.zarr", "--source", "{folder}/gone"], 1, "gone: no such folder"),
        (["{folder}/out.zarr", "--source", "{folder}/empty"], 1, "it is empty"),
        (["{folder}/gone.zarr"], 1, "gone.zarr: no such store"),
        (["{folder}/empty"], 1, "not a freqcache store"),
        (["{folder}/photos"], 1, "not a freqcache store"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert main(["bench", *(word.format(folder=folder) for word in arguments)]) == status
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not shown.out
    if status == 1:
        assert len(shown.err.splitlines()) == 1


def test_damage_ends_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(folder / "out.zarr", path)
    data = bytearray((path / "train/y/c/0/0").read_bytes())
    data[-10] ^= 1
    (path / "train/y/c/0/0").write_bytes(data)
    assert main(["bench", str(path), *QUICK]) == 1
    assert "train/y/c/0/0: the shard's index fails its checksum" in capsys.readouterr().err
    shutil.rmtree(path / "train/sampling")
    assert main(["bench", str(path), *QUICK]) == 1
    assert "train/sampling/zarr.json: cannot be read" in capsys.readouterr().err

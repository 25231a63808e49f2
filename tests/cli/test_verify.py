"""``freqcache verify``: what it says, its exit status, and one line for what cannot be verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, ``photos``, and a store of it, ``out.zarr``."""
    folder = tmp_path_factory.mktemp("cli-verify")
    write_tree(folder / "photos", splits=("train",), per_class=3)
    freqcache.build(folder / "photos", folder / "out.zarr", freqcache.BuildOptions(size=32), workers=1, quiet=True)
    return folder


def run(*arguments: object) -> int:
    return main(["verify", *map(str, arguments), "--workers", "1"])


def test_a_sound_store(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made / "out.zarr", "--source", made / "photos") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{made / 'out.zarr'}: OK\n")
    assert "6 samples" in out
    assert "source   6 files extracted anew and compared, 6 of them as pixels" in out
    assert run(made / "out.zarr", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_problems_name_files_and_samples(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Path(shutil.copytree(made / "out.zarr", tmp_path / "out.zarr"))
    shard = store / "train/coefficients/c/0/0/0/0"
    data = bytearray(shard.read_bytes())
    data[3] ^= 8
    shard.write_bytes(data)
    assert run(store, "--quiet") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{store}: 1 problem"
    words = "  train/coefficients/c/0/0/0/0: chunk of channel 0, row group 0: CRC-32C does not match"
    assert words in lines
    assert "  samples not to be trusted: 6" in lines
    assert sum("class ant" in line for line in lines) == 3
    assert run(store, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["sound"]
    assert [finding["kind"] for finding in report["findings"]] == ["chunk-checksum"]
    assert len(report["bad_samples"]) == 6
    assert set(report["bad_samples"][0]) == {"split", "slot", "path", "class_name"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Missing argument"),
        (["{made}/out.zarr", "--sample", "3"], 2, "--sample: only together with --source"),
        (["{made}/out.zarr", "--sample", "0", "--source", "{made}/photos"], 2, "--sample"),
        (["{made}/out.zarr", "--fast"], 2, "No such option"),
        (["{made}/gone.zarr"], 1, "gone.zarr: no such store"),
        (["{made}/photos"], 1, "photos: not a freqcache store"),
        (["{tmp}/empty"], 1, "empty: not a freqcache store"),
        (["{tmp}/begun"], 1, "its build did not finish"),
        (["{tmp}/broken"], 1, "no readable Zarr v3 group"),
        (["{tmp}/foreign"], 1, "a Zarr group, but not a freqcache store"),
        (["{tmp}/newer"], 1, "format version '2.0' is not one this release reads"),
        (["{tmp}/file"], 1, "file: neither a store's folder nor a zip file"),
        (["{made}/out.zarr", "--source", "{made}/gone"], 1, "gone: no such folder"),
        (["{made}/out.zarr", "--source", "{tmp}/empty"], 1, "it is empty"),
    ],
)
def test_what_cannot_be_verified_is_one_line(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    for name in ("empty", "begun/.build", "broken", "foreign"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "broken/zarr.json").write_bytes((made / "out.zarr/zarr.json").read_bytes()[:-9])
    (tmp_path / "foreign/zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    (tmp_path / "file").write_text("words")
    newer = json.loads((made / "out.zarr/zarr.json").read_text())
    newer["attributes"]["freqcache"]["version"] = "2.0"
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/zarr.json").write_text(json.dumps(newer))
    assert main(["verify", *(word.format(made=made, tmp=tmp_path) for word in arguments)]) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    if status == 1:
        assert len(error.splitlines()) == 1

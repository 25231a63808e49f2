"""What lies beside a store, and in zip files: the ledger, hot copies, spools; where a report says the store is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from photographs import encoded, write_tree

import freqcache
from freqcache.inspection import inspect_store
from freqcache.verification import verify
from freqcache_cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an absent slot and a ledger."""
    folder = tmp_path_factory.mktemp("beside")
    write_tree(folder / "photos", splits=("train",), per_class=3)
    whole = encoded(99, 64, 48, quality=85, subsampling=2)
    (folder / "photos" / "train" / "ant" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    freqcache.build(folder / "photos", folder / "out.zarr", freqcache.BuildOptions(size=32), workers=1, quiet=True)
    freqcache.make_hot(folder / "out.zarr", "6", quiet=True)
    return folder


@pytest.mark.parametrize("name", ["out.zarr.zip", "out.zip"])
def test_a_zip_file_has_the_ledger_of_its_store(made: Path, tmp_path: Path, name: str) -> None:
    shutil.make_archive(str(tmp_path / name.removesuffix(".zip")), "zip", made / "out.zarr")
    assert any("no readable ledger" in note for note in verify(tmp_path / name, source=made / "photos").notes)
    shutil.copy(made / "out.zarr.ledger.jsonl", tmp_path / "out.zarr.ledger.jsonl")
    report = verify(tmp_path / name, source=made / "photos", workers=1, quiet=True)
    assert report.is_sound
    assert report.notes == ("hot: the hot copy was not checked: it is used in local folders alone",)
    found = inspect_store(tmp_path / name).ledger
    assert found is not None
    assert (found.path, found.entries) == (str(tmp_path / "out.zarr.ledger.jsonl"), 1)
    (tmp_path / f"{name}.ledger.jsonl").write_text("")  # its own comes first
    found = inspect_store(tmp_path / name).ledger
    assert found is not None
    assert found.entries == 0


def test_the_report_says_where_the_store_is(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(made / "out.zarr", workers=1, quiet=True).path == str(made / "out.zarr")
    archive = shutil.make_archive(str(tmp_path / "out.zarr"), "zip", made / "out.zarr")
    for place in (archive, f"file://{made}/out.zarr"):
        main(["verify", place, "--json"])
        assert json.loads(capsys.readouterr().out)["path"] == freqcache.open(place).location
    assert freqcache.open(f"file://{made}/out.zarr").location == f"file://{made}/out.zarr"


def test_a_spool_that_was_left_is_mentioned(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "out.zarr", tmp_path / "out.zarr")
    (tmp_path / "out.zarr.spool.partial").write_bytes(bytes(10))
    report = verify(tmp_path / "out.zarr", workers=1, quiet=True)
    assert report.is_sound
    (note,) = report.notes
    assert note.startswith(f"{tmp_path}/out.zarr.spool.partial: of a build of this store that runs, or was killed")

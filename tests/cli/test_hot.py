"""``freqcache hot``: what it says, and one line for what cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import write_tree

import freqcache
from freqcache_cli.main import main


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-hot")
    write_tree(folder / "photos", per_class=2)
    freqcache.build(folder / "photos", folder / "out.zarr", freqcache.BuildOptions(size=32), workers=1, quiet=True)
    return folder / "out.zarr"


def test_a_copy_is_made_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hot", str(store), "--channels", "6"]) == 0
    assert "hot: 6 channels of 8 images" in capsys.readouterr().out
    assert main(["hot", str(store), "--channels", "24"]) == 1
    assert "exists and is complete; --overwrite replaces it" in capsys.readouterr().err
    assert main(["hot", str(store), "--channels", "24", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{store}"], 2, "Missing option '--channels'"),
        (["{store}", "--channels", "25"], 2, "no such mask file, and no preset"),
        (["{store}", "--channels", "6", "--threads", "0"], 2, "--threads"),
        (["{folder}", "--channels", "6"], 1, "not a freqcache store"),
        (["{folder}/gone", "--channels", "6"], 1, "no such store"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    words = [word.format(store=store, folder=store.parent) for word in arguments]
    assert main(["hot", *words]) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error

"""Names of classes and images: what a store cannot hold is refused at listing, and odd names of files stay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_sources import content, images, write_tar

import freqcache
from freqcache.errors import BuildError
from freqcache_cli.main import main

ODD = "caf\udce9 \n-x.jpg"
"""A name with a byte that is not UTF-8, a space and a newline, as Python has it."""


def image(folder: Path) -> bytes:
    return next(images(folder))[2].read_bytes()


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_class_folder_that_is_not_utf_8_is_refused_at_once(
    folder: Path, tmp_path: Path, split: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = image(folder)
    for name in ("plain", "caf\udce9"):
        (tmp_path / "photos" / split / name).mkdir(parents=True)
        (tmp_path / "photos" / split / name / "a.jpg").write_bytes(data)
    place = f"{tmp_path}/photos/{split}".rstrip("/")
    message = rf"{place}: the class 'caf\udce9' cannot be stored: its name is not UTF-8; rename it"
    assert main(["build", str(tmp_path / "photos"), str(tmp_path / "out.zarr"), "--workers", "1"]) == 1
    assert message in capfd.readouterr().err
    assert not (tmp_path / "out.zarr").exists()


def test_classes_of_other_sources_are_refused_too(folder: Path, tmp_path: Path) -> None:
    data = image(folder)
    write_tar(tmp_path / "a.tar", [("0.jpg", data), ("0.json", json.dumps({"label": "\ud800"}).encode())])
    with pytest.raises(BuildError, match=r"a.tar: the class '\\ud800' cannot be stored: its name is not UTF-8"):
        freqcache.build(tmp_path / "a.tar", tmp_path / "out.zarr", workers=1, quiet=True)
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "a.csv").write_bytes(b"path,label\na.jpg,x\0y\n")
    with pytest.raises(BuildError, match=r"zero byte|NUL"):
        freqcache.build(tmp_path / "a.csv", tmp_path / "out.zarr", workers=1, quiet=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label": "\ud800"}, r"item 0: the class '\\ud800' cannot be stored: its name is not UTF-8"),
        ({"label": "caf\udce9"}, r"item 0: the class 'caf\\udce9' cannot be stored: its name is not UTF-8"),
        ({"label": "a\0b"}, r"item 0: the class 'a\\x00b' cannot be stored: its name holds a zero byte"),
        ({"label": "a", "name": "\ud800"}, r"item 0: name: '\\ud800' is not UTF-8"),
        ({"label": "a", "name": "a\0b"}, r"item 0: name: 'a\\x00b' holds a zero byte"),
    ],
)
def test_items_are_refused_with_their_number(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        freqcache.build([freqcache.Item(data=b"\xff\xd8", **values)], tmp_path / "out.zarr", workers=1, quiet=True)
    assert not any(tmp_path.iterdir())


def test_odd_names_of_files_stay_in_every_kind_of_source(folder: Path, tmp_path: Path) -> None:
    data, options = image(folder), freqcache.BuildOptions(shuffle=False)
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    (tmp_path / "photos" / "ant" / ODD).write_bytes(data)
    write_tar(tmp_path / "a.tar", [(f"ant/{ODD}", data), (f"ant/{ODD[:-4]}.cls", b"ant")])
    items = [freqcache.Item(data=data, label="ant", name=f"ant/{ODD}")]
    sources: list[Any] = [tmp_path / "photos", tmp_path / "a.tar", items]
    for number, source in enumerate(sources):
        out = tmp_path / f"{number}.zarr"
        freqcache.build(source, out, options, workers=1, quiet=True)
        assert freqcache.open(out)["all"].source_path(0).removeprefix("a.tar/") == f"ant/{ODD}"
        assert main(["info", str(out)]) == 0
        assert main(["verify", str(out), *([] if source is items else ["--source", str(source)])]) == 0
        shutil.rmtree(tmp_path / "back", ignore_errors=True)
        assert main(["export", str(out), str(tmp_path / "back"), "--workers", "1"]) == 0
        (found,) = [name for _, _, names in os.walk(tmp_path / "back") for name in names]
        assert found == ODD
        assert main(["decode", str(out), f"ant/{ODD}", str(tmp_path / "x.png")]) == 0
    assert content(tmp_path / "0.zarr") == content(tmp_path / "2.zarr")

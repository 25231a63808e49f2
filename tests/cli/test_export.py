"""``freqcache export`` and ``freqcache decode``: what they say, and one line for what cannot be done."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from photographs import encoded, write_tree
from PIL import Image

import freqcache
from freqcache_cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with caches of two splits, of one split with a failed file, a half-built one and a broken one."""
    folder = tmp_path_factory.mktemp("cli-export")
    write_tree(folder / "photos", per_class=5)
    freqcache.build(folder / "photos", folder / "out.zarr", workers=1, quiet=True)
    (folder / "one" / "ant").mkdir(parents=True)
    (folder / "one" / "ant" / "a.jpg").write_bytes(encoded(1, 50, 40, quality=80))
    (folder / "one" / "ant" / "b.jpg").write_bytes(encoded(1, 50, 40, quality=80)[:700])
    freqcache.build(folder / "one", folder / "one.zarr", freqcache.BuildOptions(shuffle=False), workers=1, quiet=True)
    (folder / "half.zarr" / ".build").mkdir(parents=True)
    (folder / "empty").mkdir()
    shutil.copytree(folder / "out.zarr", folder / "broken.zarr")
    (shard,) = (folder / "broken.zarr" / "train" / "y" / "c").rglob("0/0")
    shard.write_bytes(bytes(shard.stat().st_size))
    return folder


def test_a_summary(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(folder / "out.zarr"), str(tmp_path / "jpegs"), "--workers", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "jpegs: 20 JPEG files (train 10, val 10)" in said
    assert "extracted 16 files" in said
    assert "computed  4 files" in said
    assert main(words) == 0
    assert "kept      20 files were there already, and right" in capsys.readouterr().out
    assert main([*words, "--channels", "24"]) == 1
    said, error = capsys.readouterr()
    assert "refused   20 files" in said
    assert error.count("\n") <= 6  # progress, and one line
    assert "a file with other content stands there; --overwrite replaces it; so are 19 more" in error
    assert main([*words, "--channels", "24", "--overwrite"]) == 0
    assert "24 of 192; the other coefficients are zero" in capsys.readouterr().out
    assert main([*words, "--channels", "24", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_samples_may_be_slots_paths_and_lists(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("val/ant/1.jpg\nval/bee/2.jpg\n")
    words = ["export", str(folder / "out.zarr"), str(tmp_path / "jpegs"), "--workers", "1", "--quiet", "--split", "val"]
    assert main([*words, "--samples", "val/ant/0.jpg", "--samples", f"@{tmp_path}/list.txt"]) == 0
    assert sorted(p.name for p in tmp_path.rglob("*.jpg")) == ["0.jpg", "1.jpg", "2.jpg"]
    assert main([*words, "--samples", "0-3,5", "--limit", "4", "--classes", "ant,bee"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{folder}/out.zarr"], 2, "Missing argument 'DIR'"),
        (["{folder}/out.zarr", "{out}", "--limit", "0"], 2, "--limit"),
        (["{folder}/out.zarr", "{out}", "--samples", "@{folder}/gone"], 2, "gone: cannot be read"),
        (["{folder}/out.zarr", "{out}", "--samples", "3-1"], 2, "3-1: ends before it begins"),
        (["{folder}/out.zarr", "{out}", "--split", "val", "--samples", "0-99999999999"], 1, "no slot 99999999999"),
        (["{folder}/out.zarr", "{out}", "--channels", "25"], 2, "no such mask file, and no preset"),
        (["{folder}/out.zarr", "{out}", "--split", "test"], 1, "no split 'test'; it has train, val"),
        (["{folder}/gone", "{out}"], 1, "no such store"),
        (["{folder}/empty", "{out}"], 1, "not a freqcache store"),
        (["{folder}/photos", "{out}"], 1, "not a freqcache store"),
        (["{folder}/half.zarr", "{out}"], 1, "its build did not finish"),
        (["{folder}/broken.zarr", "{out}", "--workers", "1", "-q"], 1, "train/y/c/0/0"),
        (["{folder}/out.zarr", "{folder}/out.zarr/x"], 1, "lies inside the cache"),
        (["{folder}/out.zarr", ""], 1, "is an empty name"),
        (["{folder}/out.zarr", "/dev/null/x", "-q"], 1, "Not a directory"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    words = [word.format(folder=folder, out=tmp_path / "jpegs") for word in arguments]
    assert main(["export", *words]) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.mark.parametrize("name", ["a.png", "a.ppm", "a.webp", "a.bmp", "a.tif", "a.jpg"])
def test_decoded_pixels_are_the_originals(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / name
    assert main(["decode", str(folder / "out.zarr"), "train/bee/0.jpg", str(out)]) == 0
    with Image.open(folder / "photos/train/bee/0.jpg") as original:
        width, height = original.size
    assert capsys.readouterr().out == f"{out}: {width}x{height}, bee, extracted, train/bee/0.jpg\n"
    with Image.open(out) as ours, Image.open(folder / "photos/train/bee/0.jpg") as theirs:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_mask_shows_what_a_network_sees(folder: Path, tmp_path: Path) -> None:
    """Of the DC of luma alone, libjpeg makes flat gray blocks."""
    (tmp_path / "mask.json").write_text(
        json.dumps(
            {"format": "freqcache-mask", "version": 1, "name": "dc", "cache": None, "selection": {},
             "channels": [["Y", 0, 0]]}
        )
    )  # fmt: skip
    words = [
        "decode",
        str(folder / "one.zarr"),
        "0",
        str(tmp_path / "a.png"),
        "--channels",
        str(tmp_path / "mask.json"),
    ]
    assert main(words) == 0
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image).astype(int)
    assert (np.ptp(pixels, axis=2) == 0).all()
    assert (pixels[:8, :8] == pixels[0, 0]).all()
    assert (pixels != pixels[0, 0]).any()


def test_a_jpeg_holds_the_coefficients(folder: Path, tmp_path: Path) -> None:
    assert main(["decode", str(folder / "one.zarr"), "0", str(tmp_path / "a.jpg")]) == 0
    assert (tmp_path / "a.jpg").read_bytes() == freqcache.to_jpeg(folder / "one.zarr", 0)
    with Image.open(io.BytesIO(freqcache.to_jpeg(folder / "one.zarr", 0))) as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{folder}/one.zarr", "0"], 2, "Missing argument"),
        (["{folder}/one.zarr", "1", "{out}/a.png"], 1, "slot 1 is absent: ant/b.jpg failed during the build"),
        (["{folder}/one.zarr", "2", "{out}/a.png"], 1, "no slot 2; there are 0 to 1"),
        (["{folder}/one.zarr", "-1", "{out}/a.png"], 2, "No such option"),
        (["{folder}/one.zarr", "ant/c.jpg", "{out}/a.png"], 1, "no sample of the source path 'ant/c.jpg'"),
        (["{folder}/one.zarr", "ant/b.jpg", "{out}/a.png"], 1, "slot 1 is absent: ant/b.jpg failed during the build"),
        (["{folder}/one.zarr", "0", "{out}/a.xyz"], 2, "expected a name that ends in .bmp, .jpeg"),
        (["{folder}/one.zarr", "0", "{out}/gone/a.png"], 1, "cannot be written: No such file or directory"),
        (["{folder}/out.zarr", "0", "{out}/a.png"], 1, "slots are numbered in each split (train, val): say which"),
        (["{folder}/out.zarr", "0", "{out}/a.png", "--split", "test"], 1, "no split 'test'"),
        (["{folder}/half.zarr", "0", "{out}/a.png"], 1, "its build did not finish"),
        (["{folder}/broken.zarr", "0", "{out}/a.png", "--split", "train"], 1, "train/y/c/0/0"),
    ],
)
def test_what_cannot_be_decoded_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert main(["decode", *(word.format(folder=folder, out=tmp_path) for word in arguments)]) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []

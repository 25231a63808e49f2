"""``freqcache plot``: every picture by its command, and one line for what cannot be drawn."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from made_runs import make_run
from photographs import write_tree
from PIL import Image

import freqcache
from freqcache_cli.main import main
from freqcache_formats.mask import ChannelMask

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-plot")
    write_tree(folder / "photos", per_class=2)
    freqcache.build(folder / "photos", folder / "out.zarr", freqcache.BuildOptions(size=32), workers=1, quiet=True)
    make_run(folder / "gated", folder / "out.zarr", ChannelMask.preset("24"), gate=True)
    make_run(folder / "plain", folder / "out.zarr", ChannelMask.preset("24"))
    for name, text in (("gated", '{"epoch": 1, "val_top1": 0.5, "val_loss": 1.0}\n'), ("plain", "{")):
        (folder / name / "metrics.jsonl").write_text(text)
    (folder / "half" / ".build").mkdir(parents=True)
    (folder / "empty").mkdir()
    shutil.copytree(folder / "out.zarr", folder / "broken.zarr")
    (folder / "broken.zarr" / "train" / "zarr.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["heatmap", "{work}/gated", "--mask", "6"], ""),
        (["statistics", "{work}/out.zarr", "--split", "val"], ""),
        (["tiles", "{work}/out.zarr", "bee/1.jpg", "--split", "val", "--scale", "tile"], "val, slot"),
        (
            ["reconstruction", "{work}/out.zarr", "val/ant/0.jpg", "--channels", "6, 24", "--source", "{work}/photos"],
            " dB, ",
        ),
        (["curves", "{work}/gated"], ""),
    ],
)
def test_pictures_are_drawn(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    out = tmp_path / "a.png"
    assert main(["plot", *(word.format(work=work) for word in arguments), "-o", str(out), "--dpi", "30"]) == 0
    shown = capsys.readouterr().out
    assert said in shown
    assert shown.endswith(f"picture    {out}\n")
    with Image.open(out) as image:
        assert min(image.size) > 100


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "Usage: freqcache plot"),
        (["pie", "{work}/out.zarr"], 2, "No such command 'pie'"),
        (["statistics", "{work}/out.zarr"], 2, "Missing option '-o'"),
        (["statistics", "{work}/out.zarr", "-o", "{out}", "--dpi", "5"], 2, "--dpi"),
        (["statistics", "{work}/gone", "-o", "{out}"], 1, "no such store"),
        (["statistics", "{work}/empty", "-o", "{out}"], 1, "not a freqcache store"),
        (["statistics", "{work}/photos", "-o", "{out}"], 1, "not a freqcache store"),
        (["statistics", "{work}/half", "-o", "{out}"], 1, "its build did not finish"),
        (["statistics", "{work}/broken.zarr", "-o", "{out}"], 1, "not a freqcache store"),
        (["statistics", "{work}/out.zarr", "--split", "test", "-o", "{out}"], 1, "no split 'test'"),
        (["statistics", "{work}/out.zarr", "-o", "{out}.bmp"], 2, "expected a name that ends in .png, .svg or .pdf"),
        (["statistics", "{work}/out.zarr", "-o", "{work}/gone/a.png"], 1, "no such folder to write a.png to"),
        (["tiles", "{work}/out.zarr", "-o", "{out}"], 2, "Missing argument 'INDEX'"),
        (["tiles", "{work}/out.zarr", "99", "--split", "val", "-o", "{out}"], 1, "there is no slot 99"),
        (["tiles", "{work}/out.zarr", "0", "--scale", "log", "-o", "{out}"], 2, "'log' is not one of"),
        (["reconstruction", "{work}/out.zarr", "x.jpg", "-o", "{out}"], 1, "no sample of the source path 'x.jpg'"),
        (["reconstruction", "{work}/out.zarr", "0", "--channels", "6,", "-o", "{out}"], 2, "--channels"),
        (["reconstruction", "{work}/out.zarr", "0", "--channels", "7", "-o", "{out}"], 2, "no preset of that name"),
        (
            [
                "reconstruction",
                "{work}/out.zarr",
                "bee/1.jpg",
                "--split",
                "val",
                "--source",
                "{work}/gone",
                "-o",
                "{out}",
            ],
            1,
            "cannot be read",
        ),
        (["heatmap", "-o", "{out}"], 2, "Missing argument 'RUN...'"),
        (["heatmap", "{work}/plain", "-o", "{out}"], 1, "has no gates"),
        (["heatmap", "{work}/out.zarr", "-o", "{out}"], 1, "is not a run folder"),
        (["curves", "{work}/empty", "-o", "{out}"], 1, "is not a run folder"),
        (["curves", "{work}/gated", "{work}/plain", "-o", "{out}"], 1, "not the files of a run"),
        (["sweep", "{work}/empty", "-o", "{out}"], 1, "is not the folder of a sweep"),
        (["sweep", "{work}/gone", "-o", "{out}"], 1, "no such folder of a sweep"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    out = tmp_path / "a.png"
    assert main(["plot", *(word.format(work=work, out=out) for word in arguments)]) == status
    error = capsys.readouterr().err
    assert message in error
    assert status == 2 or len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_command_says_how_to_get_it(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", "statistics", str(work / "out.zarr"), "-o", str(tmp_path / "a.png")]) == 1
    assert "pip install 'freqcache[plot]'" in capsys.readouterr().err

"""``freqcache predict`` and ``export-model``: what they say, and one line for what cannot be done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from made_runs import make_run
from photographs import write_tree

import freqcache
from freqcache_cli.main import main
from freqcache_formats.mask import ChannelMask


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, a fixed, an exact and a native cache of them, and a run on each; one on pixels."""
    root = tmp_path_factory.mktemp("cli-predict")
    source = write_tree(root / "photos", per_class=3)
    mask = ChannelMask.preset("6")
    options = {
        "fixed": freqcache.BuildOptions(size=40),
        "exact": freqcache.BuildOptions(size=40, exact=True),
        "native": freqcache.BuildOptions(),
    }
    for name, build in options.items():
        freqcache.build(source, root / f"{name}.zarr", build, workers=1, quiet=True)
        make_run(root / name, root / f"{name}.zarr", mask, size=40 if name == "native" else None)
    make_run(root / "rgb", root / "fixed.zarr", ChannelMask.preset("192"), input="rgb")
    (root / "text.jpg").write_text("text")
    return root


@pytest.mark.parametrize("run", ["fixed", "exact", "native"])
def test_one_line_an_image(work: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    images = [str(path) for path in sorted((work / "photos" / "val").rglob("*.jpg"))]
    assert main(["predict", str(work / run), *images]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(images) == 6
    for line, image in zip(lines, images, strict=True):
        found = re.fullmatch(r"(.*): (ant|bee) (0\.\d{4}|1\.0000), (ant|bee) (0\.\d{4})", line)
        assert found is not None, line
        assert found[1] == image
        assert float(found[3]) >= float(found[5])
    assert main(["predict", str(work / run), images[0], "-k", "1"]) == 0
    assert capsys.readouterr().out.strip() == lines[0].partition(",")[0]


@pytest.mark.parametrize("command", ["predict", "export-model"])
def test_help_loads_nothing_heavy(command: str) -> None:
    script = (
        "import sys\n"
        "from freqcache_cli.main import main\n"
        f"assert main([{command!r}, '--help']) == 0\n"
        "assert not {'torch', 'zarr', 'numba', 'scipy', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Usage: freqcache {command} [OPTIONS] RUN" in done.stdout


@pytest.mark.parametrize("ending", ["pt2", "ts"])
def test_export(work: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = work / f"network.{ending}"
    assert main(["export-model", str(work / "fixed"), str(out)]) == 0
    assert re.fullmatch(rf"{out}: .*B, 6 channels on 5x5 blocks to 2 classes\n", capsys.readouterr().out)
    if ending == "pt2":
        files = {"freqcache.json": ""}
        network = torch.export.load(out, extra_files=files).module()
        assert network(torch.zeros(3, 6, 5, 5)).shape == (3, 2)
        assert json.loads(files["freqcache.json"])["classes"] == ["ant", "bee"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict", "{work}/fixed"], 2, "Missing argument 'IMAGE...'"),
        (["predict", "{work}/gone", "{work}/text.jpg"], 1, "gone: no such run folder"),
        (["predict", "{work}/fixed", "{work}/gone.jpg"], 1, "gone.jpg: cannot be read: No such file or directory"),
        (["predict", "{work}/fixed", "{work}/text.jpg"], 1, "text.jpg: "),
        (["predict", "{work}/rgb", "{work}/text.jpg"], 1, "takes pixels, not coefficients"),
        (["predict", "{work}/fixed", "{work}/text.jpg", "-k", "0"], 2, "-k"),
        (["export-model", "{work}/fixed"], 2, "Missing argument 'OUT'"),
        (["export-model", "{work}/fixed", "{work}/a.onnx"], 2, "a.onnx: expected a name that ends in .pt2"),
        (["export-model", "{work}/fixed", "{work}/a.pt2", "--form", "torchscript"], 2, "ends in .ts"),
        (["export-model", "{work}/fixed", "{work}/gone/a.pt2"], 1, "cannot be written: No such file or directory"),
        (["export-model", "{work}/rgb", "{work}/a.pt2"], 1, "takes pixels, not coefficients"),
        (["export-model", "{work}/gone", "{work}/a.pt2"], 1, "gone: no such run folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    work: Path, arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(work=work) for argument in arguments]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    if status == 1:
        assert len(shown.strip().splitlines()) == 1

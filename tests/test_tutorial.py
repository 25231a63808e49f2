"""The tutorial's commands run in order and make what it shows; its pictures are those of its commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import tutorial
from PIL import Image

TEXT = tutorial.TUTORIAL.read_text(encoding="utf-8")
FAST = {"build": ["--workers", "1"], "train": ["--epochs", "1", "--device", "cpu"], "select": ["--allow-ties"]}
"""The networks learn nothing in one epoch: what is tested is the road."""


def test_the_tutorial_runs_and_draws_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    tutorial.prepare(tmp_path)
    names: dict[str, object] = {}
    for step in tutorial.steps(TEXT):
        capsys.readouterr()
        tutorial.run(step, names, FAST)
        if step.code.startswith("freqcache build"):
            told = capsys.readouterr().out.splitlines()
            for line in step.shown.splitlines():
                assert line in told or line.startswith("  time"), f"line {step.line}: the build does not say: {line}"
    for name in tutorial.pictures(TEXT):
        with Image.open(tmp_path / name) as drawn, Image.open(tutorial.PICTURES / name) as shown:
            assert drawn.size == shown.size, f"{name} is drawn differently now: python tests/tutorial.py"


def test_pictures_are_made_from_the_commands_that_stand_there() -> None:
    recorded = tutorial.MADE_FROM.read_text(encoding="utf-8").split()[0]
    assert recorded == tutorial.digest(TEXT), "the tutorial's commands have changed: python tests/tutorial.py"


def test_no_picture_is_large_or_left_over() -> None:
    files = {path.name: path.stat().st_size for path in tutorial.PICTURES.iterdir() if path != tutorial.MADE_FROM}
    assert set(files) == set(tutorial.pictures(TEXT))
    assert max(files.values()) < tutorial.MOST_BYTES


def test_the_tutorial_has_steps_and_pictures() -> None:
    assert len(tutorial.steps(TEXT)) > 5
    assert len(tutorial.pictures(TEXT)) >= 2

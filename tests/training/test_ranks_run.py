"""Whole runs on two processes: the losses of one with the same batches, and a death that changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from freqcache.building import BuildOptions, build
from freqcache.demo import photographs
from freqcache.training import load_run

from .test_distributed import SECONDS, TORCHRUN, environment

OPTIONS = ["--width", "0.125", "--batch-size", "50", "--epochs", "2", "--threads", "1", "--shift", "1", "--lr", "0.02"]
OPTIONS += ["--device", "cpu", "--ema", "0.9"]
TIMED = {"seconds", "images_per_second", "loader_share"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "flowers.zarr"
    build(photographs(), path, BuildOptions(size=64), quiet=True)
    return path


def _job(*command, **more):
    done = subprocess.run(
        [str(word) for word in command],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _train(out, *arguments, ranks):
    start = TORCHRUN if ranks == 2 else [sys.executable]
    status, said = _job(*start, "-m", "freqcache_cli.main", "train", *OPTIONS, *arguments, "--out", out)
    assert status == 0, said
    return said


def _history(path):
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMED} for line in lines]


def _weights(path):
    return load_run(path).model.state_dict()


def test_batchnorm_by_halves_is_another_run(cache, tmp_path):
    """What the comparison below could not tell, were it not so."""
    _train(tmp_path / "two", cache, "--channels", "24", "--no-sync-batchnorm", ranks=2)
    _train(tmp_path / "one", cache, "--channels", "24", ranks=1)
    assert _history(tmp_path / "two")[0] != pytest.approx(_history(tmp_path / "one")[0], rel=2e-3, abs=2e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--channels", "24"],
        ["--target-channels", "40", "--accumulate", "2", "--batch-size", "40"],
        ["--input", "rgb", "--crop", "random-resized"],
    ],
)
def test_two_processes_have_the_losses_of_one(cache, tmp_path, arguments):
    said = _train(tmp_path / "two", cache, *arguments, ranks=2)
    _train(tmp_path / "one", cache, *arguments, ranks=1)
    assert said.count("run folder") == 1  # one speaks
    assert "2 processes" in said
    one, two = _history(tmp_path / "one"), _history(tmp_path / "two")
    assert len(one) == len(two) == 2
    # The first epoch is two steps. What differs is rounding, and what a ReLU makes of it where a value is almost 0: one
    # such value turned a gradient by some per cent on so few images.
    assert two[0] == pytest.approx(one[0], rel=2e-3, abs=2e-3)
    assert two[1]["train_loss"] == pytest.approx(one[1]["train_loss"], rel=0.02)
    assert two[1]["val_loss"] == pytest.approx(one[1]["val_loss"], rel=0.02)


def test_a_run_of_two_whose_rank_died_goes_on_bit_for_bit(cache, tmp_path):
    arguments = [cache, "--target-channels", "40", "--save-steps", "1", "--batch-size", "20"]
    _train(tmp_path / "whole", *arguments, ranks=2)
    script = Path(__file__).with_name("killed_run.py")
    status, _ = _job(*TORCHRUN, script, 3, *OPTIONS, *arguments, "--out", tmp_path / "cut")
    assert status != 0
    status, said = _job(*TORCHRUN, "-m", "freqcache_cli.main", "train", "--resume", tmp_path / "cut")
    assert status == 0, said
    assert "going on after epoch 0 of 2, 3 steps into the next" in said
    assert _history(tmp_path / "cut") == _history(tmp_path / "whole")
    whole = _weights(tmp_path / "whole")
    assert all(torch.equal(value, whole[name]) for name, value in _weights(tmp_path / "cut").items())


def test_another_number_of_processes_inside_an_epoch_is_refused(cache, tmp_path):
    script = Path(__file__).with_name("killed_run.py")
    _job(*TORCHRUN, script, 1, cache, *OPTIONS, "--save-steps", "1", "--out", tmp_path / "cut")
    command = [sys.executable, "-m", "freqcache_cli.main", "train", "--resume", tmp_path / "cut"]
    status, said = _job(*command)
    assert status == 1
    assert "was written inside an epoch by 2 processes, and there are 1; start as many" in said

"""``freqcache train``, ``select`` and ``eval``: options in, one library call, words out."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from freqcache.errors import TrainingError
from freqcache_cli.commands import evaluate, select, train

from .standin import install, toy_cache

FAST = ["--width", "0.125", "--batch-size", "16", "--shift", "0", "--threads", "1", "--device", "cpu"]


@pytest.fixture
def cache(monkeypatch, tmp_path):
    folder = tmp_path / "toy.zarr"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    made = toy_cache(path=str(folder))
    install(monkeypatch, made)
    return str(folder)


def _run(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_road_from_cache_to_accuracy_by_the_commands_it_prints(cache, tmp_path):
    first = _run(train.command, cache, *FAST, "--epochs", 4, "--lam", 0.05, "--lr", 0.2, "-k", 5)
    assert first.exit_code == 0
    assert "gated" in first.output
    following = re.search(r"^next +freqcache train --channels (\S+)$", first.output, re.MULTILINE)
    assert following is not None

    second = _run(train.command, "--channels", following[1], *FAST, "--epochs", 1)
    assert second.exit_code == 0
    assert "5 channels on 4x4 blocks" in second.output
    accuracy = re.search(r"^accuracy +top-1 ([0-9.]+) ", second.output, re.MULTILINE)
    following = re.search(r"^next +freqcache eval (\S+)$", second.output, re.MULTILINE)
    assert accuracy is not None
    assert following is not None

    third = _run(evaluate.command, following[1], "--device", "cpu")
    assert third.output.startswith(f"top-1 {accuracy[1]}  ")
    assert "(48 images)" in third.output


@pytest.mark.parametrize(
    ("arguments", "gated"),
    [([], True), (["--channels", "6"], False), (["--input", "rgb"], False), (["--gate", "none"], False)],
)
def test_a_gate_is_the_default_only_for_all_channels(cache, tmp_path, arguments, gated):
    result = _run(train.command, cache, *FAST, "--epochs", 1, "--out", "run", *arguments)
    assert (", dynamic gate:" in result.output) == gated
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (document["config"]["gate"] == "dynamic") is gated


def test_resume_goes_on_and_refuses_other_options(cache):
    first = _run(train.command, cache, *FAST, "--epochs", 1, "--channels", "6", "--out", "run")
    again = _run(train.command, "--resume", "run")
    assert again.exit_code == 0
    accuracy = re.search(r"top-1 [0-9.]+ on", first.output)[0]
    assert accuracy in again.output
    refused = _run(train.command, "--resume", "run", "--lr", 0.5, "--epochs", 3)
    assert refused.exit_code == 2
    assert "'--lr'" in refused.output
    assert "'--epochs'" in refused.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--arch", "vgg"], "'vgg' is not one of"), (["--input", "rgb", "--gate", "static"], "has none")],
)
def test_options_that_do_not_fit_are_wrong_usage(cache, arguments, words):
    refused = _run(train.command, cache, *arguments)
    assert refused.exit_code == 2
    assert words in refused.output


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (train.command, ["--channels", "24"], "does not say which cache"),
        (train.command, [], "no cache named"),
        (select.command, ["nowhere"], "no such run folder"),
        (evaluate.command, ["nowhere"], "no such run folder"),
    ],
)
def test_errors_are_the_librarys(cache, command, arguments, words):
    given = [cache if word == "CACHE" else word for word in arguments]
    with pytest.raises(TrainingError, match=words):
        _run(command, *given)

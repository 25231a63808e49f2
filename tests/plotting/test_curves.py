"""Epochs of runs: what is read, what is one line, and what is said of runs that have none."""

from __future__ import annotations

import json

import pytest
from pictures import words_of

from freqcache.errors import PlotError
from freqcache.plotting.curves import draw_curves, read_curves

pytest.importorskip("matplotlib")


def write_run(folder, *, seed=0, epochs=3, gated=False, config=True, **settings):
    folder.mkdir(parents=True)
    lines = []
    for epoch in range(1, epochs + 1):
        entry = {"epoch": epoch, "train_loss": 3.0, "train_cross_entropy": 2 / epoch, "train_top1": 0.1 * epoch}
        entry |= {"val_loss": 2.5 / epoch, "val_top1": 0.09 * epoch + 0.01 * seed}
        if gated:
            entry |= {"val_gates_open": 192 / epoch, "val_gates_expected": 180 / epoch}
        lines.append(json.dumps(entry))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    if config:
        document = {"cache": "/data/flowers.zarr", "channels": [seed], "arch": "resnet18", **settings, "seed": seed}
        (folder / "config.json").write_text(json.dumps({"config": document}))
    return folder


def test_runs_that_differ_in_their_seed_are_one_line(tmp_path):
    runs = [write_run(tmp_path / f"lam0.1-s{seed}-k24", seed=seed) for seed in range(3)]
    runs.append(write_run(tmp_path / "gated-s1", seed=1, gated=True))
    runs.append(write_run(tmp_path / "other" / "gated-s2", seed=2, gated=True, arch="resnet50"))
    draw_curves(runs, tmp_path / "a.svg")
    words = words_of(tmp_path / "a.svg")
    assert {"lam0.1-k24 (3 runs)", "gated-s1", "gated-s2"} <= set(words)
    assert "5 runs on flowers.zarr; runs that differ in their seed alone are one line, their mean" in words
    assert "open channels per validation image" in words
    assert words.count("solid: validation; dotted: training") == 2
    draw_curves(runs, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_runs_without_gates_have_two_panels(tmp_path):
    draw_curves([write_run(tmp_path / "one-s0")], tmp_path / "a.svg")
    words = words_of(tmp_path / "a.svg")
    assert {"1 run on flowers.zarr", "one-s0", "cross-entropy, log scale", "top-1 accuracy"} <= set(words)
    assert "open channels per validation image" not in words


def test_many_runs_and_a_single_epoch_are_drawn(tmp_path):
    runs = [write_run(tmp_path / f"run{number}", epochs=1, config=number % 2 == 0) for number in range(40)]
    draw_curves(runs, tmp_path / "a.svg")
    words = words_of(tmp_path / "a.svg")
    assert {f"run{number}" for number in range(40)} <= set(words)
    assert "40 runs" in words  # some do not say on what
    assert "solid: validation; dotted: training" not in words


def test_values_are_those_of_the_file(tmp_path):
    curves = read_curves(write_run(tmp_path / "a-s0", gated=True))
    assert curves.values("val_gates_open") == ([1, 2, 3], [192, 96, 64])
    assert curves.values("nothing") == ([], [])
    assert (curves.run, curves.name, curves.cache) == ("a-s0", "a", "flowers.zarr")


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(PlotError, match="gone: no such run folder"):
        read_curves(tmp_path / "gone")
    with pytest.raises(PlotError, match=r"is not a run folder: expected metrics.jsonl"):
        read_curves(tmp_path)
    begun = write_run(tmp_path / "begun")
    (begun / "metrics.jsonl").unlink()
    with pytest.raises(PlotError, match="has done no epoch yet"):
        read_curves(begun)
    (begun / "metrics.jsonl").write_text("")
    with pytest.raises(PlotError, match="has no epochs"):
        read_curves(begun)
    for text in ("{", "[1]\n", '{"epoch": "x"}\n', '{"val_loss": 1}\n'):
        (begun / "metrics.jsonl").write_text(text)
        with pytest.raises(PlotError, match="begun: not the files of a run"):
            read_curves(begun)
    (begun / "metrics.jsonl").write_text('{"epoch": 1}\n')
    (begun / "config.json").write_text('{"config": {}}')
    with pytest.raises(PlotError, match="begun: not the files of a run"):
        read_curves(begun)

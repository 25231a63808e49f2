"""Sweeps on a cache in memory: the runs are train()'s, nothing is trained twice, and the numbers are the rows'."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import sys
from dataclasses import replace
from statistics import mean, stdev

import pytest
import torch
from click.testing import CliRunner
from pictures import words_of

from freqcache.errors import MaskError, PlotError, StoreError, TrainingError
from freqcache.plotting.style import MissingPlotExtra
from freqcache.plotting.sweeps import round_ticks, save_sweep, thin_ticks
from freqcache.selection import select_by_threshold
from freqcache.sweep import (
    Cut,
    Row,
    Setting,
    Sweep,
    format_table,
    plot_series,
    read_rows,
    run_sweep,
    running,
    summarize,
)
from freqcache.sweep.drawing import draw_sweep
from freqcache.sweep.folder import SweepFolder
from freqcache.sweep.plan import number
from freqcache.sweep.rows import write_rows
from freqcache.sweep.table import mean_jaccard
from freqcache.training import RunConfig, channel_probabilities, epoch, load_run, resume, train
from freqcache.training.checkpoint import load_checkpoint
from freqcache_cli.commands import sweep as command_module
from freqcache_cli.main import main
from freqcache_formats.mask import ChannelMask

from .standin import install, toy_cache

CACHE = "/nowhere/memory.zarr"
BASE = RunConfig(
    cache=CACHE,
    gate="dynamic",
    width=0.125,
    epochs=3,
    batch_size=16,
    lr=0.2,
    threads=1,
    flip=False,
    shift=0,
    device="cpu",
)
SWEEP = Sweep(base=BASE, lams=(0.05,), targets=(12,), seeds=(0, 1), k=(5,), baselines=("6", "rgb"))
LAMBDA, TARGET, SQUARE, RGB = SWEEP.settings
FAST = ["--width", "0.125", "--batch-size", "16", "--shift", "0", "--no-flip", "--threads", "1", "--device", "cpu"]


@pytest.fixture
def cache(monkeypatch):
    made = toy_cache()
    install(monkeypatch, made)
    return made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole sweep, and what it returned; not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        install(patch, toy_cache())
        return run_sweep(SWEEP, folder)


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished.path, tmp_path / "copied")


@pytest.fixture
def trained(monkeypatch):
    """Names of the runs that are started or resumed."""
    names = []

    def counted(real):
        def call(*arguments, **keywords):
            names.append(keywords["out"].name if "out" in keywords else f"resume {arguments[0].name}")
            return real(*arguments, **keywords)

        return call

    monkeypatch.setattr(running, "train", counted(train))
    monkeypatch.setattr(running, "resume", counted(resume))
    return names


def _weights(path):
    content = load_checkpoint(path / "checkpoint.pt")
    return {**content["model"], **{f"gate.{k}": v for k, v in (content["gate"] or {}).items()}}


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _results(folder):
    return (folder / "results.csv").read_bytes(), (folder / "results.json").read_bytes()


def test_a_folder_is_as_its_module_says(finished):
    assert {entry.name for entry in finished.path.iterdir()} == {
        ".lock",
        "gates",
        "masks",
        "results.csv",
        "results.json",
        "runs",
        "sweep.json",
        "sweep.png",
    }
    assert {entry.name for entry in (finished.path / "runs").iterdir()} == set(SWEEP.run_names)
    assert len(SWEEP.run_names) == 12
    assert SWEEP.run_names[:3] == ("lam0.05-s0", "lam0.05-s0-k5", "target12-s0")
    assert {entry.name for entry in (finished.path / "masks").iterdir()} == {
        f"{name}.json" for name in SWEEP.run_names if "-k" in name
    }
    assert not finished.failed
    assert Sweep.from_dict(json.loads((finished.path / "sweep.json").read_text())) == SWEEP


def test_runs_are_those_of_train_bit_for_bit(cache, finished, tmp_path):
    gated = train(replace(BASE, lam=0.05, seed=1), out=tmp_path / "gated", k=5)
    adapted = train(replace(BASE, target_channels=12, seed=1), out=tmp_path / "adapted")
    static = replace(BASE, gate="none", seed=1)
    on_mask = train(replace(static, channels=ChannelMask.read(gated.path / "mask.json")), out=tmp_path / "mask")
    on_square = train(replace(static, channels=ChannelMask.preset("6")), out=tmp_path / "square")
    on_rgb = train(replace(static, input="rgb"), out=tmp_path / "rgb")
    runs = finished.path / "runs"
    for result, name in [
        (gated, "lam0.05-s1"),
        (adapted, "target12-s1"),
        (on_mask, "lam0.05-s1-k5"),
        (on_square, "baseline-6-s1"),
        (on_rgb, "baseline-rgb-s1"),
    ]:
        assert _same(_weights(result.path), _weights(runs / name)), name
    masks = finished.path / "masks"
    assert ChannelMask.read(masks / "lam0.05-s1-k5.json").channels == load_run(on_mask.path).channels.channels
    assert (
        ChannelMask.read(masks / "target12-s1-k12.json").channels
        == ChannelMask.read(adapted.path / "mask.json").channels
    )


def test_rows_say_what_the_run_folders_say(cache, finished):
    rows = {(row.setting, row.seed): row for row in finished.rows}
    assert [(row.setting, row.seed) for row in finished.rows] == [(s, seed) for s in SWEEP.settings for seed in (0, 1)]
    row = rows[TARGET, 1]
    last = load_run(finished.path / row.gated_run).checkpoint["history"][-1]
    assert (row.channels_expected, row.channels_open) == (last["val_gates_expected"], last["val_gates_open"])
    assert (row.gated_top1, row.lam_end) == (last["val_top1"], last["lam"])
    run = load_run(finished.path / row.run)
    document = json.loads((run.path / "config.json").read_text())
    assert row.top1 == run.checkpoint["history"][-1]["val_top1"]
    assert (row.gmac, row.bytes_per_image) == (document["gmac"], 120.0)
    assert row.channels == tuple(ChannelMask.read(finished.path / row.mask).indices)
    assert row.mask_channels == len(row.channels) == 12
    assert row.target_channels == 12
    assert row.k == 12
    assert row.lam is None
    square, rgb = rows[SQUARE, 0], rows[RGB, 0]
    assert (square.mask_channels, square.bytes_per_image, square.gated_top1, square.k) == (6, 60.0, None, None)
    assert (rgb.mask_channels, rgb.bytes_per_image, rgb.baseline) == (192, 1920.0, "rgb")


def test_the_csv_is_the_rows(finished):
    with (finished.path / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(finished.rows)
    for line, row in zip(lines, finished.rows, strict=True):
        assert (line["kind"], int(line["seed"])) == (row.kind, row.seed)
        for name in ("lam", "target_channels", "channels_expected", "gated_top1", "top1", "gmac", "bytes_per_image"):
            assert line[name] == ("" if getattr(row, name) is None else repr(getattr(row, name)))
        assert line["failed"] == ""
    assert read_rows(finished.path / "results.json") == finished.rows


def test_a_finished_sweep_is_left_alone(cache, finished, copied, trained):
    before = {path: path.stat().st_mtime_ns for path in (copied / "runs").rglob("*")}
    again = run_sweep(SWEEP, copied)
    assert trained == []
    assert again.rows == finished.rows
    assert _results(copied) == _results(finished.path)
    assert {path: path.stat().st_mtime_ns for path in (copied / "runs").rglob("*")} == before


SMALL = replace(SWEEP, seeds=(0,), baselines=("6",))


@pytest.fixture
def expected(finished, tmp_path):
    """The results files of SMALL: those rows of the whole sweep."""
    folder = tmp_path / "expected"
    folder.mkdir()
    rows = [row for row in finished.rows if row.seed == 0 and row.baseline != "rgb"]
    write_rows(folder / "results.csv", folder / "results.json", rows)
    return _results(folder)


class _PowerCutError(Exception):
    pass


# Five runs of 18 steps, a checkpoint every two: inside a gated run, on its mask, with a target.
@pytest.mark.parametrize("killed", [9, 27, 53])
def test_a_killed_sweep_gives_the_same_results(cache, finished, expected, tmp_path, monkeypatch, killed):
    steps = []

    def cut(*arguments, real=epoch.take_step):
        steps.append(1)
        if len(steps) > killed:
            raise _PowerCutError
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(epoch, "take_step", cut)
        with pytest.raises(_PowerCutError):
            run_sweep(SMALL, tmp_path / "cut", save_steps=2)
    run_sweep(SMALL, tmp_path / "cut")
    assert _results(tmp_path / "cut") == expected
    assert _same(*(_weights(path / "runs" / "lam0.05-s0-k5") for path in (tmp_path / "cut", finished.path)))


def test_a_kill_before_the_gates_are_kept(cache, finished, copied, trained):
    (copied / "gates" / "lam0.05-s0.json").unlink()
    run_sweep(SWEEP, copied)
    assert trained == ["resume lam0.05-s0"]
    assert _results(copied) == _results(finished.path)
    kept = "gates/lam0.05-s0.json"
    assert (copied / kept).read_bytes() == (finished.path / kept).read_bytes()


def test_a_kill_while_the_first_checkpoint_is_saved(cache, finished, copied, trained):
    run = copied / "runs" / "baseline-6-s0"
    (run / "checkpoint.pt").rename(run / ".checkpoint.pt.123.tmp")
    (run / "metrics.jsonl").unlink()
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    run_sweep(SWEEP, copied)
    assert trained == ["baseline-6-s0"]
    assert _results(copied) == _results(finished.path)


def test_ctrl_c_says_how_to_go_on(cache, copied, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train", interrupted)
    before = _results(copied)
    with pytest.raises(KeyboardInterrupt) as interruption:
        run_sweep(replace(SWEEP, lams=(0.01, 0.05)), copied)
    assert interruption.value.__notes__[-1] == "the same command goes on from here"
    assert _results(copied) == before  # an earlier call's rows stand


def test_more_seeds_lambdas_masks_and_baselines_run_only_what_is_missing(cache, finished, copied, trained):
    larger = replace(SWEEP, seeds=(0, 1, 2))
    result = run_sweep(larger, copied)
    assert trained == [name for name in larger.run_names if "-s2" in name]
    assert len(trained) == 6
    assert tuple(row for row in result.rows if row.seed < 2) == finished.rows
    trained.clear()
    result = run_sweep(replace(larger, k=(5, 8), baselines=("rgb", "6", "24-learned")), copied)
    assert sorted(trained) == [
        *(f"baseline-24-learned-s{seed}" for seed in range(3)),
        *(f"lam0.05-s{seed}-k8" for seed in range(3)),
    ]
    assert [row.cut for row in result.rows][:6] == [Cut(k=5)] * 3 + [Cut(k=8)] * 3
    rows = {(row.seed, row.k): set(row.channels) for row in result.rows if row.kind == "lambda"}
    assert all(rows[seed, 5] < rows[seed, 8] for seed in range(3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": replace(BASE, lr=0.1, epochs=4)}, "epochs is 3 there and 4 here; lr is 0.2 there and 0.1 here;"),
        ({"seeds": (1, 2)}, "seed 0 is there and not here;"),
        ({"lams": (0.01, 0.06)}, "lambda 0.05 is there and not here;"),
        ({"targets": ()}, "target 12.0 is there and not here;"),
        ({"baselines": ("6",)}, "baseline rgb is there and not here;"),
        ({"retrain": False}, "its masks are trained on"),
    ],
)
def test_another_sweep_is_refused_in_one_line(cache, copied, trained, changes, words):
    with pytest.raises(TrainingError, match="holds another sweep: ") as caught:
        run_sweep(replace(SWEEP, **changes), copied)
    message = str(caught.value)
    assert message.startswith(f"{copied / 'sweep.json'}: ")
    assert words in message
    assert "\n" not in message
    assert trained == []


def test_another_cache_at_the_same_place_is_refused(monkeypatch, copied):
    install(monkeypatch, toy_cache(id="rebuilt"))
    with pytest.raises(TrainingError, match="the cache's id is memory-1 there and rebuilt here"):
        run_sweep(SWEEP, copied)


def test_a_folder_of_something_else_is_refused(cache, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds no sweep"):
        run_sweep(SWEEP, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ("[]", "expected a JSON object"), ("{}", "expected freqcache-sweep 1"), (None, "seeds")],
)
def test_a_damaged_sweep_file_is_one_line(cache, copied, text, words):
    if text is None:
        document = json.loads((copied / "sweep.json").read_text())
        del document["seeds"]
        text = json.dumps(document)
    (copied / "sweep.json").write_text(text)
    with pytest.raises(TrainingError, match=words) as caught:
        run_sweep(SWEEP, copied)
    assert str(caught.value).startswith(str(copied / "sweep.json"))


def test_damaged_results_and_gates_are_one_line(cache, copied):
    (copied / "results.json").write_text('{"format": "freqcache-sweep-results", "version": 1, "rows": [{}]}')
    with pytest.raises(TrainingError, match=r"results\.json: not the results of a sweep: KeyError.*remove it"):
        run_sweep(SWEEP, copied)
    (copied / "results.json").unlink()
    (copied / "gates" / "lam0.05-s0.json").write_text('{"indices": [1000]}')
    (row,) = run_sweep(SWEEP, copied).failed
    assert "not the gates of a run" in row.failed
    assert "remove it" in row.failed


def test_two_processes_do_not_share_a_folder(cache, copied, monkeypatch):
    lock = os.open(copied / ".lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="another process is at work on this sweep"):
            run_sweep(SWEEP, copied)
    finally:
        os.close(lock)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="without torchrun"):
        run_sweep(SWEEP, copied)


def test_a_run_with_other_options_is_a_row_that_says_so(cache, copied):
    path = copied / "runs" / "baseline-6-s0" / "config.json"
    document = json.loads(path.read_text())
    document["config"]["lr"] = 0.3
    path.write_text(json.dumps(document))
    (row,) = run_sweep(SWEEP, copied).failed
    assert row.failed == f"{path}: a run with another lr; remove the folder to have it trained anew"


def test_a_collapse_is_a_row_with_its_reason(cache, tmp_path, trained):
    sweep = Sweep(base=replace(BASE, epochs=8), lams=(0.05, 5.0), k=(5,))
    result = run_sweep(sweep, tmp_path / "sweep")
    good, collapsed = result.rows
    assert result.failed == (collapsed,)
    assert collapsed.failed.startswith("runs/lam5-s0: no mask of 5 channels: the ranking is degenerate")
    assert any("everything has closed" in warning for warning in collapsed.warnings)
    assert collapsed.channels_open < 0.5
    assert collapsed.gated_top1 is not None
    assert (collapsed.mask, collapsed.top1, collapsed.channels) == (None, None, ())
    assert good.top1 is not None
    assert trained == ["lam0.05-s0", "lam0.05-s0-k5", "lam5-s0"]
    again = run_sweep(sweep, tmp_path / "sweep")
    assert again.rows == result.rows
    assert len(trained) == 3  # the gated run itself is finished


def test_a_failure_does_not_end_the_sweep_and_is_tried_again(cache, expected, tmp_path, monkeypatch, trained):
    def failing(config, **keywords):
        if keywords["out"].name in {"target12-s0", "lam0.05-s0-k5", "baseline-6-s0"}:
            msg = "no\nmemory"
            raise TrainingError(msg)
        return train(config, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(running, "train", failing)
        result = run_sweep(SMALL, tmp_path / "sweep")
    assert [(row.title, row.failed) for row in result.rows] == [
        ("lambda 0.05, 5 channels, seed 0", "no memory"),
        ("target 12, 12 channels, seed 0", "no memory"),
        ("preset 6, seed 0", "no memory"),
    ]
    on_mask, gated, _ = result.rows
    assert on_mask.gated_top1 is not None
    assert on_mask.mask_channels == 5
    assert gated.gated_top1 is None
    run_sweep(SMALL, tmp_path / "sweep")
    assert trained == ["lam0.05-s0-k5", "target12-s0", "target12-s0-k12", "baseline-6-s0"]
    assert _results(tmp_path / "sweep") == expected


def test_a_loss_that_explodes_is_a_row(cache, tmp_path):
    sweep = Sweep(base=replace(BASE, lr=1e20), lams=(0.05,), k=(5, 6), baselines=("6",))
    result = run_sweep(sweep, tmp_path / "sweep")
    assert len(result.failed) == len(result.rows) == 3
    assert all("no longer finite" in row.failed for row in result.rows)
    assert result.pictures == ()
    assert result.warnings == ("no picture was drawn: there is no accuracy to show",)


def test_without_retraining_there_are_masks_and_their_costs(cache, finished, tmp_path, trained):
    sweep = replace(SWEEP, retrain=False, seeds=(0,), baselines=())
    result = run_sweep(sweep, tmp_path / "sweep")
    assert trained == ["lam0.05-s0", "target12-s0"]
    for row, full in zip(result.rows, [row for row in finished.rows if row.seed == 0], strict=False):
        assert row == replace(full, run=None, top1=None)
    (line,) = plot_series(result.rows)
    assert line.kind == "gated"
    assert (tmp_path / "sweep" / "sweep.png").exists()
    trained.clear()
    run_sweep(replace(SWEEP, seeds=(0,), baselines=()), tmp_path / "sweep")  # later, all the same
    assert trained == ["lam0.05-s0-k5", "target12-s0-k12"]


def test_masks_by_threshold(cache, copied, trained):
    probabilities = channel_probabilities(copied / "runs" / "lam0.05-s0")
    threshold = float(sorted(probabilities.values)[-20])
    sweep = replace(SWEEP, thresholds=(threshold,), retrain=True)
    result = run_sweep(sweep, copied)
    row = next(row for row in result.rows if row.threshold is not None)
    assert row.channels == tuple(select_by_threshold(probabilities, threshold).mask.indices)
    assert row.mask_channels == 19
    assert len(trained) == 2
    assert f"lambda 0.05, P(on) > {threshold:g}" in format_table(result.rows)


def test_a_caches_absence_is_said_before_anything_is_made(cache, tmp_path):
    with pytest.raises(StoreError, match="no such cache"):
        run_sweep(replace(SWEEP, base=replace(BASE, cache="/nowhere/else.zarr")), tmp_path / "sweep")
    with pytest.raises(TrainingError, match="unknown architecture"):
        run_sweep(replace(SWEEP, base=replace(BASE, arch="vgg")), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lams": (), "targets": ()}, "at least one lambda or target"),
        ({"seeds": ()}, "at least one seed"),
        ({"k": ()}, "at least one k or threshold"),
        ({"k": (0, 193)}, "cannot keep 0 of 192 channels; cannot keep 193"),
        ({"thresholds": (1.0,)}, r"in \[0, 1\), found 1"),
        ({"base": replace(BASE, gate="none")}, "need a gate"),
        ({"baselines": ("24", "x/24.json")}, "both be named baseline-24"),
        ({"lams": (-1,)}, "lam must not be negative"),
        ({"targets": (192,)}, "target_channels must be below the 192"),
        ({"seeds": (-1,)}, "seed must not be negative"),
    ],
)
def test_impossible_sweeps_are_refused(changes, words):
    with pytest.raises(TrainingError, match=words):
        replace(SWEEP, **changes)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(MaskError, match="no such mask file, and no preset"):
        replace(SWEEP, baselines=("25",))


def test_what_the_order_and_the_base_do_not_change():
    base = replace(BASE, lam=0.3, seed=7)
    other = Sweep(base=base, lams=(0.05, 0.05), targets=(12,), seeds=(1, 0, 1), k=(5, 5), baselines=("6", "rgb", "6"))
    assert other == SWEEP
    assert replace(SWEEP, lams=(), k=(7,)) == replace(SWEEP, lams=(), k=(9,))  # a target's mask is of its size
    assert replace(SWEEP, base=replace(BASE, target_bytes=100.0)) == SWEEP


@pytest.mark.parametrize(
    ("value", "text"), [(24.0, "24"), (0.003, "0.003"), (1e-5, "1e-05"), (0.12345678, "0.12345678")]
)
def test_names_tell_numbers_apart(value, text):
    assert number(value) == text
    assert float(text) == value


ROWS = (
    Row(kind="lambda", lam=0.01, seed=0, k=2, channels_expected=100.0, channels_open=150.0, gated_top1=0.5,
        mask_channels=2, channels=(0, 1), bytes_per_image=2048.0, gmac=0.5, top1=0.7),
    Row(kind="lambda", lam=0.01, seed=1, k=2, channels_expected=104.0, channels_open=152.0, gated_top1=0.6,
        mask_channels=2, channels=(1, 2), bytes_per_image=4096.0, gmac=0.5, top1=0.8),
    Row(kind="lambda", lam=0.01, seed=2, k=2, channels_expected=108.0, channels_open=154.0, gated_top1=0.7,
        failed="no mask"),
    Row(kind="lambda", lam=0.01, seed=0, k=4, channels_expected=100.0, channels_open=150.0, gated_top1=0.5,
        mask_channels=4, channels=(0, 1, 2, 3), bytes_per_image=8192.0, gmac=0.6, top1=0.9),
    Row(kind="lambda", lam=0.03, seed=0, k=2, channels_expected=1.0, channels_open=0.25, gated_top1=0.2,
        mask_channels=2, channels=(0, 1), bytes_per_image=2048.0, gmac=0.5, top1=0.6),
    Row(kind="target", target_channels=6.0, seed=0, k=6, mask_channels=6, channels=tuple(range(6)),
        bytes_per_image=9000.0, gmac=0.7, top1=0.75, channels_open=6.5, gated_top1=0.74),
    Row(kind="baseline", baseline="192", seed=0, mask_channels=192, channels=tuple(range(192)),
        bytes_per_image=16384.0, gmac=1.0, top1=0.65),
    Row(kind="baseline", baseline="6", seed=0, mask_channels=6, channels=(0, 1, 2, 4, 64, 128),
        bytes_per_image=6144.0, gmac=0.7, top1=0.72),
    Row(kind="baseline", baseline="rgb", seed=0, mask_channels=192, channels=tuple(range(192)),
        bytes_per_image=16384.0, gmac=0.9, top1=0.77),
    Row(kind="baseline", baseline="masks/own.json", seed=0, mask_channels=3, channels=(0, 1, 3),
        bytes_per_image=3072.0, gmac=0.6, top1=0.71),
)  # fmt: skip


def test_the_table_by_hand():
    first, *others = summarize(ROWS)
    assert (first.setting, first.cut) == (Setting(kind="lambda", value=0.01), Cut(k=2))
    assert (first.rows, first.failed) == (3, 1)
    assert (first.channels_expected.mean, first.channels_expected.deviation) == (104.0, 4.0)
    assert (first.channels_open.mean, first.channels_open.count) == (152.0, 3)
    assert first.gated_top1.mean == pytest.approx(0.6)
    assert first.gated_top1.deviation == pytest.approx(0.1)
    assert (first.top1.mean, first.top1.count) == (pytest.approx(0.75), 2)
    assert first.top1.deviation == pytest.approx(0.05 * 2**0.5)  # sqrt((0.05^2 + 0.05^2) / 1)
    assert first.bytes_per_image.mean == 3072.0
    assert first.agreement == pytest.approx(1 / 3)  # {0, 1} and {1, 2}
    assert all(summary.agreement is None for summary in others)
    lines = format_table(ROWS).splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "lambda 0.01",
        "lambda 0.01",
        "lambda 0.03",
        "target 6",
        "preset 192",
        "preset 6",
        "RGB",
        "mask own",
    ]
    assert " ".join(lines[1].split()) == (
        "lambda 0.01 2/3 104.0 ± 4.0 152.0 ± 2.0 2 3.0 0.5 0.600 ± 0.100 0.750 ± 0.071 0.33"
    )
    assert " ".join(lines[7].split()) == "RGB 1 - - 192 16.0 0.9 - 0.770 -"


def test_agreement_is_the_mean_over_all_pairs():
    masks = [(0, 1, 2), (1, 2, 3), (7, 8, 9)]
    assert mean_jaccard(masks) == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert mean_jaccard(masks[:1]) is None


def test_the_finished_sweeps_table_is_that_of_its_csv(finished):
    with (finished.path / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    top1 = [float(line["top1"]) for line in lines if line["lam"] == "0.05"]
    masks = [set(ChannelMask.read(finished.path / line["mask"]).indices) for line in lines if line["lam"] == "0.05"]
    jaccard = len(masks[0] & masks[1]) / len(masks[0] | masks[1])
    shown = format_table(finished.rows).splitlines()[1]
    assert f"{mean(top1):.3f} ± {stdev(top1):.3f}  {jaccard:.2f}".split() == shown.split()[-4:]


def test_the_picture_shows_the_rows():
    series = {line.label: line for line in plot_series(ROWS)}
    assert [(line.kind, line.label) for line in series.values()] == [
        ("lambda", "learned, lambda 0.01"),
        ("lambda", "learned, lambda 0.03"),
        ("target", "learned, to a target"),
        ("squares", "square presets"),
        ("rgb", "RGB"),
        ("mask", "mask own"),
    ]
    two, four = series["learned, lambda 0.01"].points
    assert (two.channels, two.kib, two.top1) == ((2.0, 2.0), (2.0, 4.0), (0.7, 0.8))
    assert (four.channels, four.kib, four.top1) == ((4.0,), (8.0,), (0.9,))
    assert [point.channels[0] for point in series["square presets"].points] == [6.0, 192.0]  # by channels
    assert series["RGB"].points[0].top1 == (0.77,)


def test_without_networks_on_masks_the_picture_shows_the_gated_ones():
    gated = [replace(row, top1=None) if row.cut else row for row in ROWS]
    line, *_ = plot_series(gated)
    assert line.kind == "gated"
    # Lambda 0.03 has closed everything, and two masks of one gated run are one point.
    assert [point.channels for point in line.points] == [(6.5,), (150.0, 152.0, 154.0)]
    assert line.points[1].top1 == (0.5, 0.6, 0.7)


def test_ticks_are_numbers_that_are_there_and_apart():
    assert thin_ticks([]) == []
    assert thin_ticks([24]) == [24]
    assert thin_ticks([192, 6, 24, 6, 48]) == [6, 24, 48, 192]
    assert thin_ticks([100, 101, 102, 200], 4) == [100, 200]


def test_ticks_of_bytes_are_round():
    assert round_ticks([]) == []
    assert round_ticks([5]) == [5]
    assert round_ticks([0.6, 2.1, 5.8]) == [0.75, 1, 1.5, 2, 3, 4, 6]


def test_the_picture_says_what_it_shows(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        save_sweep(tmp_path / name, plot_series(ROWS), title="toy")
    words = words_of(tmp_path / "a.svg")
    assert {"channels kept", "KiB read per image", "learned, lambda 0.01", "square presets"} <= set(words)
    assert "toy: mean of 1 to 2 seeds, each a faint point" in words
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_finished_sweep_is_drawn_again(finished, tmp_path):
    """From its folder alone: the same bytes as the picture that the sweep left."""
    pytest.importorskip("matplotlib")
    draw_sweep(finished.path, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (finished.path / "sweep.png").read_bytes()


def test_what_is_no_sweep_is_not_drawn(finished, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(TrainingError, match="gone: no such folder of a sweep"):
        draw_sweep(tmp_path / "gone", tmp_path / "x.png")
    with pytest.raises(TrainingError, match=r"is not the folder of a sweep: expected sweep.json"):
        draw_sweep(tmp_path, tmp_path / "x.png")
    shutil.copy(finished.path / "sweep.json", tmp_path)
    with pytest.raises(PlotError, match="none of its runs has an accuracy yet"):
        draw_sweep(tmp_path, tmp_path / "x.png")
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"results.json: not the results of a sweep"):
        draw_sweep(tmp_path, tmp_path / "x.png")
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"sweep.json: not a sweep"):
        draw_sweep(tmp_path, tmp_path / "x.png")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_a_file(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"picture{suffix}"
    save_sweep(path, plot_series(ROWS), title="toy")
    assert path.stat().st_size > 10_000
    with pytest.raises(PlotError, match=r"no such folder to write x.png to"):
        save_sweep(tmp_path / "missing" / "x.png", plot_series(ROWS))
    with pytest.raises(PlotError, match="cannot write the picture"):
        save_sweep(tmp_path / "x.nonsense", plot_series(ROWS))


def test_without_matplotlib_only_the_picture_is_missing(cache, copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (copied / "sweep.png").unlink()
    result = run_sweep(SWEEP, copied)
    assert result.pictures == ()
    (warning,) = result.warnings
    assert "pip install 'freqcache[plot]'" in warning
    with pytest.raises(MissingPlotExtra):
        save_sweep(copied / "x.png", plot_series(ROWS))


def _run(*arguments):
    result = CliRunner().invoke(command_module.command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_command_line_is_the_library(cache, finished, tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweeps" / "memory"
    shutil.copytree(finished.path, folder)
    shutil.rmtree(folder / "runs" / "target12-s1-k12")
    arguments = ["--epochs", 3, "--lam", 0.05, "--target-channels", "12", "--seeds", "0", "--seeds", "1", "-k", 5]
    result = _run(CACHE, *FAST, *arguments, "--baseline", "6", "--baseline", "rgb", "--plot", "picture.svg")
    assert result.exit_code == 0
    assert trained == ["target12-s1-k12"]
    assert _results(folder) == _results(finished.path)
    assert "[1/12] lam0.05-s0 is finished\n" in result.output
    assert "[10/12] target12-s1-k12\nnetwork " in result.output
    assert format_table(finished.rows) in result.output
    assert "results    sweeps/memory/results.csv" in result.output
    assert "picture    picture.svg" in result.output
    assert (tmp_path / "picture.svg").exists()


def test_the_command_lines_lists(cache, tmp_path, monkeypatch):
    asked = []

    def record(sweep, out, **keywords):
        asked.append((sweep, out, keywords))
        return running.SweepResult(path=out, rows=ROWS)

    monkeypatch.setattr("freqcache.sweep.run_sweep", record)
    options = ["--lam", "0.003,0.01", "--lam", "0.03", "--seeds", "0,2", "-k", "24,6", "--threshold", "0.5"]
    result = _run(CACHE, *options, "--gate", "static", "--recipe", "demo", "--no-retrain", "--out", "x")
    ((sweep, out, _),) = asked
    assert (sweep.lams, sweep.seeds, sweep.k, sweep.thresholds) == ((0.003, 0.01, 0.03), (0, 2), (6, 24), (0.5,))
    assert (sweep.base.gate, sweep.base.epochs, sweep.base.lam) == ("static", 30, 0.01)  # the recipe's lam is 0.03
    assert sweep.retrain is False
    assert str(out) == "x"
    assert result.exit_code == 1  # a row of these failed
    assert "failed     lambda 0.01, 2 channels, seed 2: no mask" in result.output
    assert "1 of 10 rows failed: the same command tries them again" in result.output
    _run(CACHE, "--lam", "0.1")
    _run(CACHE, "--lam", "0.1", "--threshold", "0.5")
    assert [(sweep.k, sweep.thresholds, sweep.seeds) for sweep, *_ in asked[1:]] == [
        ((24,), (), (0,)),
        ((), (0.5,), (0,)),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name what to sweep over"),
        (["--lam", "0.1,x"], "expected numbers with commas between them"),
        (["--lam", "0.1", "--seeds", "1.5"], "expected whole numbers"),
        (["--target-channels", "6", "-k", "4"], "a target's mask is of its size"),
        (["--lam", "0.1", "--channels", "24"], "No such option"),
        (["--lam", "0.1", "--seed", "1"], "No such option"),
    ],
)
def test_wrong_usage(arguments, words):
    result = _run(CACHE, *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_failures_are_status_1_and_one_line(cache, tmp_path, capsys):
    arguments = ["sweep", CACHE, *FAST, "--lr", "1e20", "--epochs", "1", "--lam", "0.1", "--out", str(tmp_path / "x")]
    assert main(arguments) == 1
    assert "failed     lambda 0.1, 24 channels, seed 0: the loss is no longer finite" in capsys.readouterr().out
    assert main([*arguments, "--batch-size", "8"]) == 1
    assert "holds another sweep: batch_size is 16 there and 8 here" in capsys.readouterr().err


def test_gates_are_kept_exactly(finished, tmp_path):
    (tmp_path / "gates").mkdir()
    there, here = SweepFolder(finished.path), SweepFolder(tmp_path)
    kept = there.read_gates("lam0.05-s0")
    here.write_gates("lam0.05-s0", kept)
    assert here.gates("lam0.05-s0").read_bytes() == there.gates("lam0.05-s0").read_bytes()
    assert kept.source == "runs/lam0.05-s0"

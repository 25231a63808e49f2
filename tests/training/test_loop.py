"""Whole runs on a small cache in memory: what they reach, leave behind, and repeat bit for bit."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch

from freqcache.errors import TrainingError
from freqcache.models import create_model
from freqcache.training import RunConfig, channel_probabilities, epoch, evaluate, load_run, logs, loop, resume, train
from freqcache.training.checkpoint import load_checkpoint
from freqcache.training.logs import RunLog
from freqcache_formats.mask import ChannelMask

from .standin import INFORMATIVE, install, toy_cache

CACHE = "/nowhere/memory.zarr"
SMALL = RunConfig(
    cache=CACHE, width=0.125, epochs=3, batch_size=16, lr=0.05, threads=1, flip=False, shift=0, device="cpu"
)
STATIC = replace(SMALL, channels=ChannelMask.preset("6"))
GATED = replace(SMALL, gate="dynamic", epochs=2)
ONE = ChannelMask.from_indices([0])


class Recorder:
    """A reporter that keeps what was said."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def line(self, text):
        self.lines.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def track(self, items, *, total, label):
        yield from items

    def status(self, text):
        self.last_status = text


@pytest.fixture
def cache(monkeypatch):
    made = toy_cache()
    install(monkeypatch, made)
    return made


def _weights(path):
    content = load_checkpoint(path / "checkpoint.pt")
    return {**content["model"], **{f"gate.{k}": v for k, v in (content["gate"] or {}).items()}}


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _comparable(history):
    timed = {"seconds", "images_per_second", "loader_share"}
    return [{key: value for key, value in entry.items() if key not in timed} for entry in history]


def test_a_static_run_learns_and_leaves_a_run_folder(cache, tmp_path):
    reporter = Recorder()
    result = train(STATIC, out=tmp_path / "run", reporter=reporter)
    assert result.top1 > 0.9  # chance is 1/3
    assert sorted(file.name for file in result.path.iterdir()) == [
        "checkpoint.pt",
        "config.json",
        "metrics.jsonl",
    ]
    assert result.selected is None
    document = json.loads((result.path / "config.json").read_text())
    assert RunConfig.from_dict(document["config"]) == STATIC
    assert document["parameters"] == result.cost.parameters
    assert document["gmac"] == result.cost.gmac > 0
    assert document["bytes_per_image"] == 60.0
    metrics = [json.loads(line) for line in (result.path / "metrics.jsonl").read_text().splitlines()]
    assert metrics == result.history
    assert [entry["epoch"] for entry in metrics] == [1, 2, 3]
    assert metrics[-1]["val_top1"] == result.top1
    assert any("6 channels on 4x4 blocks" in line and "GMAC" in line for line in reporter.lines)
    assert any("KiB read per image" in line for line in reporter.lines)


@pytest.mark.parametrize("config", [STATIC, replace(GATED, flip=True, shift=1)])
def test_one_seed_is_one_run_bit_for_bit(cache, tmp_path, config):
    first = train(config, out=tmp_path / "a", k=5)
    torch.rand(7)  # the caller's generator has no say
    second = train(config, out=tmp_path / "b", k=5)
    other = train(replace(config, seed=1), out=tmp_path / "c", k=5)
    assert _same(_weights(first.path), _weights(second.path))
    assert _comparable(first.history) == _comparable(second.history)
    assert not _same(_weights(first.path), _weights(other.path))


def test_callers_generator_and_threads_are_left_alone(cache, tmp_path):
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(replace(STATIC, epochs=1), out=tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


class OrderRecorder(Recorder):
    """Keeps the samples of every training epoch, in the order they came."""

    def __init__(self):
        super().__init__()
        self.orders = []

    def track(self, items, *, total, label):
        if not label.startswith("epoch"):
            yield from items
            return
        seen = []
        for stored, labels in items:
            seen += [(int(y), x.numpy().tobytes()) for x, y in zip(stored, labels, strict=True)]
            yield stored, labels
        self.orders.append(seen)


def test_every_epoch_sees_every_image_once_in_another_order(cache, tmp_path):
    recorder = OrderRecorder()
    train(STATIC, out=tmp_path / "run", reporter=recorder)
    first, second, third = recorder.orders
    assert sorted(first) == sorted(second) == sorted(third)
    assert len(set(first)) == 96
    assert first != second != third != first


class _PowerCutError(Exception):
    pass


# Mirroring and shifting, gates, and dropout each draw from a generator of their own.
@pytest.mark.parametrize(
    ("config", "written"),
    [
        (STATIC, 1),
        (replace(GATED, epochs=3, flip=True, shift=1), 1),
        (replace(GATED, epochs=3, flip=True, shift=1), 2),
        (replace(STATIC, arch="mobilenet_v2"), 2),
    ],
)
def test_resuming_equals_never_stopping(cache, tmp_path, monkeypatch, config, written):
    whole = train(config, out=tmp_path / "whole", k=5)

    # Killed after `written` checkpoints, before the metrics of the last are on disk.
    def cut(log, history, real=RunLog.add):
        if len(history) == written:
            raise _PowerCutError
        real(log, history)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "add", cut)
        with pytest.raises(_PowerCutError):
            train(config, out=tmp_path / "cut", k=5)
    result = resume(tmp_path / "cut", k=5)
    assert _same(_weights(whole.path), _weights(result.path))
    assert _comparable(whole.history) == _comparable(result.history)
    assert len((result.path / "metrics.jsonl").read_text().splitlines()) == 3
    assert result.top1 == whole.top1


EVERYTHING = {"flip": True, "shift": 1, "ema": 0.9, "mixup": 0.2, "accumulate": 2}


# A checkpoint is written every two steps, of six an epoch; the process dies in the step after one of them.
@pytest.mark.parametrize(
    ("config", "killed"),
    [
        (STATIC, 3),
        (STATIC, 11),
        (replace(GATED, **EVERYTHING), 5),
        (replace(GATED, **EVERYTHING, gate="static", tau_end=0.5, lam_warmup=0.5, gate_lr=0.01), 9),
        (replace(GATED, **EVERYTHING, target_channels=20), 3),
        (replace(GATED, **EVERYTHING, target_bytes=200), 8),
        (replace(STATIC, arch="mobilenet_v2", schedule="step"), 9),
    ],
)
def test_resuming_inside_an_epoch_equals_never_stopping(cache, tmp_path, monkeypatch, config, killed):
    k = None if config.target_bytes else 5
    whole = train(config, out=tmp_path / "whole", k=k)
    steps = []

    def cut(*arguments, real=epoch.take_step):
        steps.append(1)
        if len(steps) > killed:
            raise _PowerCutError
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(epoch, "take_step", cut)
        with pytest.raises(_PowerCutError):
            train(config, out=tmp_path / "cut", k=k, save_steps=2)
    recorder = Recorder()
    result = resume(tmp_path / "cut", k=k, reporter=recorder)
    assert f"{killed % 6 // 2 * 2} steps into the next" in recorder.lines[0]
    assert _same(_weights(whole.path), _weights(result.path))
    assert _comparable(whole.history) == _comparable(result.history)


def test_resuming_a_finished_run_changes_nothing(cache, tmp_path):
    first = train(STATIC, out=tmp_path / "run")
    before = (first.path / "checkpoint.pt").read_bytes()
    again = resume(first.path)
    assert again.top1 == first.top1
    assert (first.path / "checkpoint.pt").read_bytes() == before


def test_gates_find_the_informative_channels(cache, tmp_path):
    config = replace(SMALL, gate="dynamic", epochs=16, lam=0.02, lr=0.1, width=0.25)
    result = train(config, out=tmp_path / "run", k=5)
    assert result.top1 > 0.9
    assert result.selected is not None
    values = result.selected.probabilities.values
    assert len(set(np.argsort(-values)[:12]) & set(INFORMATIVE)) >= 4
    assert values[list(INFORMATIVE)].min() > values.mean()
    expected = [entry["val_gates_expected"] for entry in result.history]
    assert expected[-1] < expected[0] - 3
    assert set(channel_probabilities(result.path).values) == set(result.selected.probabilities.values)


def test_a_gated_run_leaves_a_mask_that_trains(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = train(replace(GATED, lam=0.05, lr=0.2, epochs=4), k=5)
    assert result.path.as_posix() == "runs/memory-gated-s0"
    assert result.selected is not None
    assert (result.path / "heatmap.png").stat().st_size > 10_000
    mask = ChannelMask.read(result.path / "mask.json")
    assert len(mask) == 5
    assert mask.cache is not None
    assert (mask.cache.path, mask.cache.id) == (CACHE, "memory-1")
    assert mask.selection["run"] == "runs/memory-gated-s0"
    second = train(replace(SMALL, channels=mask, epochs=1))
    assert second.path.as_posix() == "runs/memory-5-gated-s0"
    assert second.channels == 5


def test_a_degenerate_ranking_writes_no_mask_and_says_so(cache, tmp_path):
    reporter = Recorder()
    config = replace(GATED, lam=0.0, lr=1e-6, epochs=1)
    result = train(config, out=tmp_path / "run", k=5, reporter=reporter)
    assert not (result.path / "mask.json").exists()
    assert any("nothing has closed" in warning for warning in reporter.warnings)
    assert any("degenerate" in warning for warning in reporter.warnings)
    assert tuple(reporter.warnings) == result.warnings


def test_a_collapse_is_said(cache, tmp_path):
    reporter = Recorder()
    train(replace(GATED, lam=5.0, lr=0.2, epochs=12), out=tmp_path / "run", k=5, reporter=reporter)
    assert any("everything has closed" in warning for warning in reporter.warnings)
    assert any("degenerate" in warning and "smaller --lam" in warning for warning in reporter.warnings)


def test_gate_term_is_lambda_times_open_channels_per_image(cache, tmp_path):
    result = train(replace(GATED, lam=0.5, lr=1e-9, epochs=1), out=tmp_path / "run", k=5)
    (epoch,) = result.history
    term = epoch["train_loss"] - epoch["train_cross_entropy"]
    # 96 images x 192 gates with P(on) 0.87: the mean count has a deviation of 0.5.
    assert term == pytest.approx(0.5 * 192 * 0.87, abs=1.0)
    assert epoch["train_gates_expected"] == pytest.approx(192 * 0.87, abs=0.5)


@pytest.mark.parametrize("kind", ["dct", "rgb"])
def test_checkpoints_are_usable_without_a_run(cache, tmp_path, kind):
    channels = ChannelMask.preset("6") if kind == "dct" else None
    config = replace(SMALL, channels=channels, input=kind, epochs=1)
    result = train(config, out=tmp_path / "run")
    content = torch.load(result.path / "checkpoint.pt", weights_only=True)
    count = 6 if kind == "dct" else 3
    model = create_model("resnet18", in_channels=count, num_classes=3, width=0.125, input=kind).eval()
    model.load_state_dict(content["model"])
    assert content["classes"] == ["a", "b", "c"]
    if kind == "dct":
        mask = ChannelMask.from_dict(content["mask"])
        split = cache.splits["val"]
        stored = torch.from_numpy(split.stored[:, mask.indices]).double()
        scale = torch.from_numpy(cache.scale[mask.indices]).double()[:, None, None]
        mean, std = (content["normalization"][key].double()[:, None, None] for key in ("mean", "std"))
        with torch.no_grad():
            logits = model(((stored * scale - mean) / std).float())
        hits = (logits.argmax(1).numpy() == split.labels).mean()
        assert hits == pytest.approx(result.top1)


def test_a_loss_that_explodes_is_one_line(cache, tmp_path):
    with pytest.raises(TrainingError, match=r"no longer finite at epoch \d+, step \d+.*less than lr 1e\+20") as caught:
        train(replace(STATIC, lr=1e20), out=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_an_existing_folder_is_not_overwritten(cache, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="exists already"):
        train(STATIC, out=tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_default_folders_never_collide(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(STATIC, epochs=1)
    names = [train(config).path.as_posix() for _ in range(3)]
    assert names == ["runs/memory-6-s0", "runs/memory-6-s0-2", "runs/memory-6-s0-3"]


def test_too_large_a_mask_is_refused_before_training(cache, tmp_path):
    with pytest.raises(TrainingError, match="cannot select 24 of 6 channels"):
        train(replace(STATIC, gate="dynamic"), out=tmp_path / "run", k=24)
    assert not (tmp_path / "run").exists()


def test_evaluation_repeats_the_last_epochs_numbers_bit_for_bit(cache, tmp_path):
    result = train(replace(GATED, flip=True, shift=1), out=tmp_path / "run", k=5)
    first, second = evaluate(result.path), evaluate(load_run(result.path))
    assert first.top1 == second.top1 == result.top1
    assert first.loss == second.loss == pytest.approx(result.history[-1]["val_loss"], rel=1e-6)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.images == 48
    assert 0 <= first.channels_open <= 192


def test_top_five_counts_the_first_five(cache, tmp_path, monkeypatch):
    result = train(replace(STATIC, epochs=1), out=tmp_path / "run")
    assert result.top5 == 1.0  # of three classes


def test_another_cache_of_the_same_classes_is_evaluated(cache, tmp_path, monkeypatch):
    result = train(STATIC, out=tmp_path / "run")
    same = toy_cache(path="/nowhere/same.zarr", id="memory-2", val=30)
    other = toy_cache(path="/nowhere/other.zarr", classes=("a", "b", "x"))
    install(monkeypatch, same, other)
    assert evaluate(result.path, "/nowhere/same.zarr").images == 30
    with pytest.raises(TrainingError, match=r"classes \(3: a, b, x\) differ"):
        evaluate(result.path, "/nowhere/other.zarr")
    install(monkeypatch, toy_cache(id="rebuilt"))
    with pytest.raises(TrainingError, match="with id memory-1, but the cache there now has id rebuilt"):
        evaluate(result.path)


def test_selecting_from_a_run_without_gates_is_refused(cache, tmp_path):
    result = train(replace(STATIC, epochs=1), out=tmp_path / "run")
    with pytest.raises(TrainingError, match="has no gates"):
        channel_probabilities(result.path)


def test_what_is_no_run_folder_is_said(tmp_path):
    with pytest.raises(TrainingError, match="no such run folder"):
        load_run(tmp_path / "missing")
    with pytest.raises(TrainingError, match="is not a run folder"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TrainingError, match="has no checkpoint yet"):
        load_run(tmp_path)


def test_an_inconsistent_checkpoint_is_refused(cache, tmp_path):
    result = train(replace(STATIC, epochs=1), out=tmp_path / "run")
    content = load_checkpoint(result.path / "checkpoint.pt")
    content["mask"] = ChannelMask.preset("24").to_dict()
    torch.save(content, result.path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="inconsistent checkpoint"):
        load_run(result.path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_said(cache, tmp_path):
    with pytest.raises(TrainingError, match="no CUDA device"):
        train(replace(STATIC, device="cuda"), out=tmp_path / "run")


def test_a_resumed_run_keeps_its_own_k(cache, tmp_path):
    first = train(GATED, out=tmp_path / "run", k=5)
    mask = first.selected.mask_path
    ChannelMask.read(mask)  # of five channels, chosen by the run
    mask.write_text("chosen by hand")
    assert resume(tmp_path / "run").selected is None
    assert mask.read_text() == "chosen by hand"
    assert len(resume(tmp_path / "run", k=4).selected.mask) == 4
    mask.unlink()
    assert len(resume(tmp_path / "run").selected.mask) == 5
    with pytest.raises(TrainingError, match="cannot select 0 of"):
        resume(tmp_path / "run", k=0)


def test_a_run_that_diverges_in_validation_keeps_its_last_checkpoint(cache, tmp_path, monkeypatch):
    real, calls = loop.evaluate_model, []

    def diverging(*arguments, **keywords):
        calls.append(1)
        result = real(*arguments, **keywords)
        return replace(result, loss=float("nan")) if len(calls) == 2 else result

    monkeypatch.setattr(loop, "evaluate_model", diverging)
    with pytest.raises(TrainingError, match="validation loss is not finite after epoch 2; try less than lr"):
        train(STATIC, out=tmp_path / "run")
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_folder_of_a_run_that_never_saved_can_be_used_again(cache, tmp_path):
    with pytest.raises(TrainingError, match="no longer finite"):
        train(replace(STATIC, lr=1e20, epochs=1), out=tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["config.json"]
    train(replace(STATIC, epochs=1), out=tmp_path / "run")


def test_a_shift_beyond_the_grid_is_refused(cache, tmp_path):
    with pytest.raises(TrainingError, match="shift must be less than the grid of 4x4 blocks, found 4"):
        train(replace(STATIC, shift=4), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_moving_average_is_what_is_kept_and_validated(cache, tmp_path):
    config = replace(STATIC, ema=0.5)
    plain, averaged = train(STATIC, out=tmp_path / "plain"), train(config, out=tmp_path / "averaged")
    content = load_checkpoint(averaged.path / "checkpoint.pt")
    trained = content["progress"]["trained"]
    assert all(torch.equal(value, trained[f"network.{name}"]) for name, value in _weights(plain.path).items())
    assert not _same(_weights(plain.path), _weights(averaged.path))
    # By hand, over the weights of every step: the first copy, then halves.
    assert content["progress"]["averaged"] == 18
    assert evaluate(averaged.path).top1 == averaged.top1


def test_the_average_is_the_exponential_one(cache, tmp_path, monkeypatch):
    seen = []

    def spy(state, *arguments, real=epoch.take_step):
        real(state, *arguments)
        seen.append(state.model.network.fc.weight.detach().clone())

    monkeypatch.setattr(epoch, "take_step", spy)
    result = train(replace(STATIC, ema=0.8, epochs=1), out=tmp_path / "run")
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.8 * expected + 0.2 * weight
    torch.testing.assert_close(_weights(result.path)["fc.weight"], expected)


def test_parts_of_a_batch_add_up_to_it(cache, tmp_path, monkeypatch):
    """Gradients of two parts are those of the batch, but for BatchNorm: taken in evaluation mode, where it is fixed."""
    gradients = {}
    for parts in (1, 2):

        def keep(state, *arguments, parts=parts):
            gradients[parts] = [p.grad.clone() for p in state.model.parameters()]
            raise _PowerCutError

        with monkeypatch.context() as patch:
            patch.setattr(epoch, "take_step", keep)
            patch.setattr(torch.nn.BatchNorm2d, "train", lambda self, mode=True: torch.nn.Module.train(self, False))
            with pytest.raises(_PowerCutError):
                train(replace(STATIC, accumulate=parts), out=tmp_path / f"run{parts}")
    for one, two in zip(gradients[1], gradients[2], strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accumulate": 3}, "a batch of 16 images cannot be divided into 1 processes x 3 parts"),
        ({"accumulate": 16}, "BatchNorm needs more than one image: 16 images in 1 processes x 16 parts leave 1"),
        (
            {"gate": "static", "target_bytes": 30.0},
            "how many channels fit into 30 bytes.*drop k=5",
        ),
        (
            {"gate": "static", "target_channels": 0.5, "channels": ChannelMask.from_indices([0])},
            "needs gates to choose",
        ),
        (
            {"gate": "dynamic", "target_bytes": 60.0},
            "a target of 60 bytes per image is not below the 60",
        ),
        ({"init": "/nowhere/rgb.pth"}, "/nowhere/rgb.pth"),
    ],
)
def test_what_cannot_be_trained_is_said_before(cache, tmp_path, change, words):
    k = 5 if change.get("target_bytes") == 30 else None
    with pytest.raises(TrainingError, match=words):
        train(replace(STATIC, **change), out=tmp_path / "run", k=k)
    assert not (tmp_path / "run").exists()


def test_a_mask_has_no_more_channels_than_the_run(cache, tmp_path):
    result = train(replace(STATIC, gate="static", lam=0.05, lr=0.5, gate_lr=0.05), out=tmp_path / "run")
    assert result.k == 6


def test_batches_larger_than_the_split_are_said(cache, tmp_path):
    recorder = Recorder()
    train(replace(STATIC, batch_size=1000, epochs=1), out=tmp_path / "run", reporter=recorder)
    assert any("too few images for batches of 1000: 96 a step" in line for line in recorder.lines)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["images_per_step"] == 96


def test_a_missed_target_is_said(cache, tmp_path):
    recorder = Recorder()
    train(replace(GATED, target_channels=20, gate_lr=1e-5), out=tmp_path / "run", reporter=recorder)
    assert any("the target of 20 channels was not reached: 192 are open" in line for line in recorder.warnings)


def test_a_run_killed_in_its_first_checkpoint_can_start_again(cache, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run" / ".checkpoint.pt.123.tmp").write_text("half")
    train(replace(STATIC, epochs=1), out=tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_mixup_of_one_class_is_refused(monkeypatch, tmp_path):
    install(monkeypatch, toy_cache(classes=("a",)))
    with pytest.raises(TrainingError, match="mixup needs at least 2 classes, the cache has 1"):
        train(replace(STATIC, mixup=0.2), out=tmp_path / "run")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("numpy has none"),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_too_little_memory_is_one_line_with_a_way_out(cache, tmp_path, monkeypatch, error):
    def full(*arguments, **keywords):
        raise type(error)(*error.args)  # the parameter lives on, and would keep the frames, and the loader's thread

    monkeypatch.setattr(epoch, "train_part", full)
    with pytest.raises(TrainingError, match=r"too little memory for batches of 16 images.*--accumulate") as caught:
        train(STATIC, out=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_bfloat16_trains_on_a_cpu_too(cache, tmp_path):
    result = train(replace(STATIC, precision="bf16", epochs=2), out=tmp_path / "run")
    assert result.top1 > 0.8
    assert all(value.dtype != torch.bfloat16 for value in _weights(result.path).values())


def test_schedules_of_lambda_and_temperature_are_followed(cache, tmp_path):
    config = replace(GATED, lam=0.1, lam_warmup=0.5, tau=2.0, tau_end=0.5)
    result = train(config, out=tmp_path / "run", k=5)  # 2 epochs of 6 steps
    assert [entry["lam"] for entry in result.history] == pytest.approx([0.1 * 6 / 7, 0.1])
    assert [entry["tau"] for entry in result.history] == pytest.approx([2 * 0.25 ** (5 / 11), 0.5])


def test_an_rgb_networks_trunk_is_a_start(cache, tmp_path):
    first = train(replace(SMALL, input="rgb", epochs=1), out=tmp_path / "rgb")
    torch.save(load_checkpoint(first.path / "checkpoint.pt")["model"], tmp_path / "rgb.pth")
    recorder = Recorder()
    started = replace(STATIC, init=str(tmp_path / "rgb.pth"), epochs=1, lr=1e-12, weight_decay=0.0)
    result = train(started, out=tmp_path / "run", reporter=recorder)
    assert any(str(tmp_path / "rgb.pth") in line and "tensors" in line for line in recorder.lines)
    theirs, ours = _weights(first.path), _weights(result.path)
    for name in ("layer1.0.conv2.weight", "layer4.1.conv2.weight", "fc.weight"):
        torch.testing.assert_close(ours[name], theirs[name])
    (tmp_path / "rgb.pth").unlink()
    assert resume(result.path).top1 == result.top1  # what it began with is in the checkpoint


def test_the_published_normalization_is_an_option_that_stays_with_the_run(cache, tmp_path):
    result = train(replace(STATIC, normalization="dctnet", epochs=1), out=tmp_path / "run")
    run = load_run(result.path)
    assert run.normalization.kind == "dctnet"
    assert run.normalization.std[1].item() == pytest.approx(2.05, abs=1)  # of one frequency; the true one is about 78
    assert evaluate(run).top1 == result.top1


def test_progress_says_how_fast_and_how_well(cache, tmp_path):
    recorder = Recorder()
    train(replace(STATIC, epochs=1), out=tmp_path / "run", reporter=recorder)
    assert "images/s, loader " in recorder.last_status
    assert "top-1 0." in recorder.last_status


def test_tensorboard_is_written_where_it_is_installed(cache, tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append(folder)
            assert purge_step == 1

        def add_scalar(self, name, value, epoch):
            written.append((name, value, epoch))

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(logs, "find_spec", lambda name: name)
    result = train(replace(STATIC, epochs=2), out=tmp_path / "run")
    assert written[0] == str(result.path / "tensorboard")
    assert ("val_top1", result.top1, 2) in written
    assert written[-1] == "closed"

"""Run configurations: JSON and back, and every impossible option named."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from freqcache.errors import TrainingError
from freqcache.gates import ChannelGate, GatedNetwork
from freqcache.models import create_model
from freqcache.training import RunConfig
from freqcache.training.optim import Optimizers
from freqcache.training.schedules import learning_rate
from freqcache_formats.mask import ChannelMask


@pytest.mark.parametrize("channels", [None, ChannelMask.preset("24-learned")])
def test_configurations_survive_json(channels):
    config = RunConfig(cache="a.zarr", channels=channels, width=0.375, lam=0.01, threads=2, gate="dynamic")
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "without a cache"),
        ({"cache": "a", "colour": 1}, "colour"),
        ({"cache": "a", "epochs": "many"}, "epochs must be int, found 'many'"),
        ({"cache": "a", "channels": {"format": "x"}}, "not a valid mask"),
    ],
)
def test_foreign_documents_are_refused(document, words):
    with pytest.raises(TrainingError, match=words):
        RunConfig.from_dict(document)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"lr": float("inf")},
        {"lam": -1.0},
        {"tau": 0.0},
        {"width": -1.0},
        {"warmup": 1.0},
        {"momentum": 1.5},
        {"label_smoothing": 1.0},
        {"val_fraction": 0.0},
        {"threads": 0},
        {"seed": -1},
        {"shift": -1},
        {"schedule": "stairs"},
        {"size": 60, "crop": "random-resized"},
        {"size": 0},
        {"resize": 32, "size": 64, "crop": "random-resized"},
        {"resize": 64},
        {"milestones": ["half"]},
        {"epochs": True},
        {"accumulate": 0},
        {"ema": 1.0},
        {"mixup": -0.1},
        {"target_channels": 200.0, "gate": "static"},
        {"target_bytes": 0.0, "gate": "static"},
        {"gate": "maybe"},
        {"precision": "fp16"},
        {"device": "tpu"},
        {"input": "yuv"},
        {"input": "rgb", "gate": "dynamic"},
        {"input": "rgb", "channels": ChannelMask.preset("24")},
    ],
)
def test_impossible_options_are_named(change):
    (name, *_) = change
    with pytest.raises(TrainingError, match=f"cannot train with these options.*{name}"):
        RunConfig(cache="a", **change)


def test_all_problems_are_listed_at_once():
    with pytest.raises(TrainingError, match=r"epochs.*lr.*schedule"):
        RunConfig(cache="a", epochs=0, lr=-1.0, schedule="stairs")


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_learning_rate_rises_to_its_peak_and_falls_to_nothing(schedule):
    config = RunConfig(cache="a", lr=0.4, schedule=schedule, warmup=0.25)
    rates = [learning_rate(step, 400, config) for step in range(400)]
    peak = rates.index(max(rates))
    assert peak == 100
    assert max(rates) == pytest.approx(0.4)
    assert all(a < b for a, b in pairwise(rates[: peak + 1]))
    assert all(a > b for a, b in pairwise(rates[peak:]))
    assert rates[0] == pytest.approx(0.016 if schedule == "one-cycle" else 0.4 / 101, rel=0.01)
    assert 0 < rates[-1] < 0.4e-4 * 1.1
    assert rates[250] == pytest.approx(0.2)  # the middle of the half cosine


def test_learning_rate_without_warmup_starts_at_the_peak():
    config = RunConfig(cache="a", lr=0.4, warmup=0.0)
    assert learning_rate(0, 10, config) == pytest.approx(0.4)
    assert learning_rate(0, 1, replace(config, warmup=0.3)) > 0


def test_weight_decay_spares_batchnorm_and_biases():
    model = GatedNetwork(create_model("resnet18", in_channels=6, num_classes=3, width=0.25), ChannelGate(6))
    optimizer = Optimizers(model, RunConfig(cache="a", weight_decay=0.01), 100).network
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(decay) == set(names.values())
    for name, value in decay.items():
        module = model.get_submodule(name.rpartition(".")[0])
        spared = isinstance(module, torch.nn.BatchNorm2d) or name.endswith("bias") or name.startswith("gate.")
        assert value == (0.0 if spared else 0.01), name


@pytest.mark.parametrize(
    "change", [{"batch_size": 1}, {"seed": 2**63}, {"width": 17}, {"size": 4104}, {"threads": 100_000}]
)
def test_slips_of_the_fingers_are_refused(change):
    (name,) = change
    with pytest.raises(TrainingError, match=name):
        RunConfig(cache="x", **change)

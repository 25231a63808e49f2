"""The same road on real stores, of either kind, built from JPEG files."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import freqcache
from freqcache.building import BuildOptions
from freqcache.errors import FreqcacheError, TrainingError
from freqcache.training import (
    RunConfig,
    channel_probabilities,
    epoch,
    evaluate,
    load_run,
    resolve_cache,
    resume,
    train,
)
from freqcache_formats.mask import ChannelMask

SMALL = {"width": 0.125, "epochs": 12, "batch_size": 8, "lr": 0.05, "shift": 0, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Three classes of coloured noise, 48x48, 14 images each."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (60, 80, 200)), ("green", (70, 180, 60)), ("red", (200, 60, 70))):
        (root / name).mkdir()
        for number in range(14):
            pixels = rng.normal(colour, 30, (48, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.jpg", quality=85)
    return root


@pytest.fixture(scope="module", params=["fixed", "native"])
def cache(request, photographs, tmp_path_factory):
    """The cache's path, and the size that training asks for."""
    path = tmp_path_factory.mktemp("cache") / f"{request.param}.zarr"
    fixed = request.param == "fixed"
    freqcache.build(photographs, path, BuildOptions(size=48 if fixed else None), workers=1, quiet=True)
    return str(path), None if fixed else 48


def test_static_runs_learn_and_evaluate(cache, tmp_path):
    path, size = cache
    config = RunConfig(cache=path, size=size, channels=ChannelMask.preset("6"), **SMALL)
    result = train(config, out=tmp_path / "run")
    assert result.top1 > 0.8  # chance is 1/3
    assert evaluate(tmp_path / "run", device="cpu").top1 == result.top1
    assert result.bytes_per_image > 0


def test_gates_mask_and_retraining(cache, tmp_path):
    path, size = cache
    config = RunConfig(cache=path, size=size, gate="dynamic", lam=0.05, **SMALL)
    result = train(config, out=tmp_path / "gated", k=6)
    probabilities = channel_probabilities(tmp_path / "gated", device="cpu")
    assert np.isfinite(probabilities.values).all()
    mask = ChannelMask.read(tmp_path / "gated" / "mask.json")
    assert len(mask) == 6
    assert resolve_cache(None, mask) == path
    retrained = train(RunConfig(cache=path, size=size, channels=mask, **SMALL), out=tmp_path / "masked")
    assert retrained.channels == 6
    assert retrained.bytes_per_image <= result.bytes_per_image


def test_pixels_of_the_same_cache(cache, tmp_path):
    path, size = cache
    result = train(RunConfig(cache=path, size=size, input="rgb", **SMALL), out=tmp_path / "rgb")
    assert result.top1 > 0.8


@pytest.mark.parametrize("kind", ["dct", "rgb"])
def test_random_crops_train_on_either_kind_of_cache(cache, tmp_path, kind):
    path, size = cache
    channels = ChannelMask.preset("6") if kind == "dct" else None
    config = RunConfig(cache=path, size=size, crop="random-resized", input=kind, channels=channels, **SMALL)
    result = train(config, out=tmp_path / "run")
    assert result.top1 > 0.6
    assert load_run(tmp_path / "run").grid == (6, 6)
    found = evaluate(tmp_path / "run", device="cpu").loss  # in other batches, so other roundings
    assert found == pytest.approx(result.history[-1]["val_loss"], rel=1e-5)
    plain = train(replace(config, crop="none"), out=tmp_path / "plain")
    assert plain.history[0]["train_loss"] != result.history[0]["train_loss"]


def test_a_recipe_for_native_caches_trains_on_a_fixed_one_and_goes_on(cache, tmp_path, monkeypatch):
    path, _ = cache
    options = SMALL | {"epochs": 3, "size": 48, "resize": 56, "crop": "random-resized"}
    config = RunConfig(cache=path, channels=ChannelMask.preset("6"), **options)
    whole = train(config, out=tmp_path / "whole")
    assert evaluate(whole.path, device="cpu").loss == pytest.approx(whole.history[-1]["val_loss"], rel=1e-5)

    def cut(state, step, *arguments, real=epoch.take_step):
        if step == 6:
            raise KeyboardInterrupt
        real(state, step, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(epoch, "take_step", cut)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "cut", save_steps=2)
    names = ("train_loss", "val_loss", "val_top1")
    resumed = resume(tmp_path / "cut")
    assert [[e[n] for n in names] for e in resumed.history] == [[e[n] for n in names] for e in whole.history]


def test_another_size_of_a_fixed_cache_is_refused(photographs, tmp_path):
    path = tmp_path / "fixed.zarr"
    freqcache.build(photographs, path, BuildOptions(size=48), workers=1, quiet=True)
    for options in ({"size": 32, "crop": "random-resized"}, {"size": 32}):
        with pytest.raises(FreqcacheError, match="a fixed cache has one size"):
            train(RunConfig(cache=str(path), **SMALL, **options), out=tmp_path / "run")


def test_a_target_of_bytes_needs_images_that_are_not_resized(cache, tmp_path):
    path, size = cache
    config = RunConfig(cache=path, size=size, crop="random-resized", gate="static", target_bytes=300.0, **SMALL)
    with pytest.raises(TrainingError, match=r"images that are resized need more channels read.*--target-channels"):
        train(config, out=tmp_path / "run")


def test_a_native_cache_is_read_at_the_size_its_mask_was_selected_at(cache, tmp_path):
    path, size = cache
    mask = ChannelMask.of(ChannelMask.preset("6").channels, selection={"size": 32})
    options = {**SMALL, "epochs": 1}
    for channels, expected in ((mask, 32), (ChannelMask.preset("6"), 224)):
        out = tmp_path / str(expected)
        train(RunConfig(cache=path, channels=channels, **options), out=out)
        side = load_run(out).grid[0] * 8
        assert side == (48 if size is None else expected)
        assert evaluate(out, device="cpu").images > 0
    assert size is None or load_run(tmp_path / "32").config.size == 32


def test_runs_on_one_kind_of_cache_evaluate_on_the_other(photographs, tmp_path):
    channels = ChannelMask.preset("6")
    freqcache.build(photographs, tmp_path / "fixed.zarr", BuildOptions(size=48), workers=1, quiet=True)
    freqcache.build(photographs, tmp_path / "native.zarr", BuildOptions(), workers=1, quiet=True)
    fixed, native = str(tmp_path / "fixed.zarr"), str(tmp_path / "native.zarr")
    train(RunConfig(cache=fixed, channels=channels, **SMALL), out=tmp_path / "a")
    train(RunConfig(cache=native, size=48, channels=channels, **SMALL), out=tmp_path / "b")
    assert evaluate(tmp_path / "a", native, device="cpu").top1 > 0.8
    assert evaluate(tmp_path / "b", fixed, device="cpu").top1 > 0.8


def test_a_mask_remembers_a_cache_until_it_is_gone(photographs, tmp_path):
    path = tmp_path / "cache.zarr"
    freqcache.build(photographs, path, BuildOptions(size=48), workers=1, quiet=True)
    config = RunConfig(cache=str(path), gate="dynamic", lam=0.05, **{**SMALL, "epochs": 3})
    train(config, out=tmp_path / "run", k=6)
    mask = ChannelMask.read(tmp_path / "run" / "mask.json")
    shutil.rmtree(path)
    with pytest.raises(TrainingError, match="which is gone"):
        resolve_cache(None, mask)

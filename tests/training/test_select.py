"""``freqcache select`` on real caches and runs: rankings, cuts, comparison, files, words."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import freqcache
from freqcache.building import BuildOptions
from freqcache.dataset import FrequencyDataset
from freqcache.errors import FreqcacheError, TrainingError
from freqcache.selection import rank_correlation
from freqcache.training import RunConfig, channel_probabilities, train
from freqcache.training.select import CutOptions, choose_channels
from freqcache_cli.commands import select
from freqcache_formats.mask import ChannelMask

SMALL = {"width": 0.125, "epochs": 12, "batch_size": 8, "lr": 0.05, "shift": 0, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fixed and a native cache, and runs on them: gated, plain, gated on the native one, and on pixels."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (60, 80, 200)), ("green", (70, 180, 60)), ("red", (200, 60, 70))):
        (root / "photographs" / name).mkdir(parents=True)
        for number in range(14):
            pixels = rng.normal(colour, 30, (56, 56, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photographs" / name / f"{number}.jpg", quality=85)
    fixed, native = str(root / "fixed.zarr"), str(root / "native.zarr")
    freqcache.build(root / "photographs", fixed, BuildOptions(size=48), workers=1, quiet=True)
    freqcache.build(root / "photographs", native, BuildOptions(), workers=1, quiet=True)
    train(RunConfig(cache=fixed, gate="dynamic", lam=0.05, **SMALL), out=root / "gated", k=6)
    short = {**SMALL, "epochs": 1}
    train(RunConfig(cache=fixed, channels=ChannelMask.preset("24"), **short), out=root / "plain")
    train(RunConfig(cache=native, size=48, gate="dynamic", lam=0.05, **SMALL), out=root / "native-gated", k=6)
    train(RunConfig(cache=fixed, input="rgb", **short), out=root / "rgb")
    return root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return made


def run(*arguments):
    result = CliRunner().invoke(select.command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def table_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_gates_write_mask_map_and_table(here, tmp_path):
    result = run(
        *(here / "gated", "-k", 7, "-o", "mask.json", "--heatmap", "map.png", "--table", "t.csv", "--device", "cpu")
    )
    assert result.exit_code == 0
    mask = ChannelMask.read("mask.json")
    assert len(mask) == 7
    assert mask.name == "gated-7"
    assert mask.cache.path == str(here / "fixed.zarr")
    assert "mask.json: 7 of 192 channels" in result.output
    assert "by 9 validation images; margin at the cut 0." in result.output
    assert "freqcache train --channels mask.json" in result.output
    assert np.asarray(Image.open("map.png")).shape[0] > 1500  # three rows

    probabilities = channel_probabilities(here / "gated", device="cpu")
    dataset = FrequencyDataset(here / "fixed.zarr", split="all")
    values = dataset.read(range(42)).double().numpy() * dataset.scale.double().numpy()[:, None, None]
    rows = table_of(tmp_path / "t.csv")
    for index, row in enumerate(rows):
        assert float(row["p_on"]) == pytest.approx(probabilities.values[index], rel=1e-6)
        assert float(row["open_share"]) == probabilities.open_share[index]
        assert row["weights"] == ""
        assert float(row["energy"]) == pytest.approx((values[:, index] ** 2).mean(), rel=1e-6)
        assert float(row["deviation"]) == pytest.approx(values[:, index].std(), rel=1e-6)
        varies = float(row["deviation"]) > 0
        assert float(row["normalized_deviation"]) == pytest.approx(1 if varies else 0, abs=1e-6)
        assert float(row["normalized_mean"]) == pytest.approx(0, abs=1e-5)
    assert sum(int(row["selected"]) for row in rows) == 7
    total = sum(float(row["bytes"]) for row in rows if row["selected"] == "1")
    assert total == pytest.approx(FrequencyDataset(here / "fixed.zarr", split="all", channels=mask).bytes_per_image)
    assert mask.selection["bytes_per_image"] == pytest.approx(total, abs=0.06)
    assert f"bytes      {total:,.0f} read per image" in result.output
    energy = rank_correlation("energy", probabilities.values, (values**2).mean(axis=(0, 2, 3)))
    assert f"energy {energy.rho:+.2f} {energy.within[0]:+.2f}" in " ".join(result.output.split())
    assert "of 192 channels are tied at 1" in result.output


def test_the_mask_of_a_runs_gates_goes_into_its_folder(here, tmp_path):
    shutil.copytree(here / "gated", tmp_path / "copy")
    run("copy", "-k", 9)
    assert len(ChannelMask.read("copy/mask.json")) == 9
    run("copy", "--by", "energy", "-k", 3)
    assert len(ChannelMask.read("copy/mask.json")) == 9  # not overwritten by another ranking
    assert ChannelMask.read("copy/mask-energy.json").name == "energy-3"
    run(here / "fixed.zarr", "-k", 4)
    assert ChannelMask.read("mask-energy.json").name == "energy-4"


def test_thresholds_keep_what_is_above(here):
    result = run(here / "gated", "--threshold", 0.0, "-o", "every.json")
    assert len(ChannelMask.read("every.json")) == 192
    assert "every one of the 192 channels is above" in result.output


@pytest.mark.parametrize(("words", "count"), [("900", 900), ("1KiB", 1024), ("1.5 kB", 1500), ("1b", None)])
def test_a_budget_is_kept(here, words, count):
    if count is None:
        with pytest.raises(TrainingError, match="more than the budget of 1"):
            run(here / "fixed.zarr", "--budget", words)
        return
    result = run(here / "fixed.zarr", "--budget", words, "-o", "m.json")
    mask = ChannelMask.read("m.json")
    larger = choose_channels(str(here / "fixed.zarr"), CutOptions(k=len(mask) + 1))
    assert mask.selection["bytes_per_image"] <= count < larger.selection.bytes_per_image
    assert mask.selection["budget"] == count
    assert f"bytes      {mask.selection['bytes_per_image']:,.0f} read per image" in result.output


@pytest.mark.parametrize("words", ["6x", "KiB", "-3", "0", "1e3"])
def test_what_is_no_budget_is_wrong_usage(here, words):
    result = run(here / "fixed.zarr", "--budget", words)
    assert result.exit_code == 2
    assert "is not a number of bytes" in result.output


def test_a_native_run_counts_what_a_resize_reads(here):
    result = run(here / "native-gated", "-k", 5, "-o", "m.json", "--device", "cpu")
    mask = ChannelMask.read("m.json")
    assert mask.selection["size"] == 48
    read = FrequencyDataset(here / "native.zarr", split="all", channels=mask, size=48)
    assert mask.selection["bytes_per_image"] == pytest.approx(read.bytes_per_image, abs=0.06)
    assert f"{len(read.source_channels)} are read" in result.output
    own = FrequencyDataset(here / "native.zarr", split="all", channels=mask).bytes_per_image
    assert f"the mask's own channels take {own:,.0f}" in result.output
    plain = run(here / "native.zarr", "-k", 5, "-o", "n.json")
    assert "own channels" not in plain.output
    sized = run(here / "native.zarr", "-k", 5, "-o", "n.json", "--size", 48)
    assert "own channels" in sized.output
    assert ChannelMask.read("n.json").selection["size"] == 48


def test_weights_rank_a_plain_run(here):
    result = run(here / "plain", "--by", "weights", "-k", 6, "-o", "w.json", "--heatmap", "w.svg", "--table", "w.csv")
    assert "w.json: 6 of 24 channels" in result.output
    mask = ChannelMask.read("w.json")
    assert set(mask.channels) <= set(ChannelMask.preset("24").channels)
    assert mask.name == "weights-6"
    with open("w.csv", encoding="utf-8", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    weights = [float(row["weights"]) for row in rows if row["weights"]]
    assert len(weights) == 24
    assert min(float(row["weights"]) for row in rows if row["selected"] == "1") == sorted(weights)[-6]


def test_masks_are_compared(here):
    run(here / "fixed.zarr", "-k", 24, "-o", "a.json", "--by", "random", "--seed", 1)
    result = run(
        *(here / "fixed.zarr", "-k", 24, "-o", "b.json", "--by", "random", "--seed", 2),
        *("--compare", "a.json", "--compare", "24-learned", "--compare", here / "gated"),
    )
    masks = [ChannelMask.load(name) for name in ("b.json", "a.json", "24-learned", str(here / "gated" / "mask.json"))]
    sets = [set(mask.indices.tolist()) for mask in masks]
    indices = [[len(a & b) / len(a | b) for b in sets] for a in sets]
    for name, value in zip(("a.json", "24-learned", here / "gated"), indices[0][1:], strict=True):
        assert any(line.split() == [str(name), f"{value:.2f}"] for line in result.output.splitlines())
    mean = np.mean([indices[i][j] for i in range(4) for j in range(i)])
    assert f"mean of all 6 pairs {mean:.2f}; of random masks 0.0" in result.output
    again = run(here / "fixed.zarr", "-k", 24, "-o", "c.json", "--by", "random", "--seed", 1, "--compare", "a.json")
    assert "mean of the pair 1.00" in again.output


def test_an_unfinished_run_and_dead_channels_are_said(here, tmp_path):
    import torch

    shutil.copytree(here / "gated", tmp_path / "copy")
    content = torch.load(tmp_path / "copy" / "checkpoint.pt", weights_only=True)
    content["epoch"] = 5
    torch.save(content, tmp_path / "copy" / "checkpoint.pt")
    assert "has done 5 of its 12 epochs" in run("copy", "-o", "m.json").output
    for name in ("ant", "bee"):
        (tmp_path / "gray" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "gray" / name / f"{number}.jpg")
    freqcache.build(tmp_path / "gray", tmp_path / "gray.zarr", BuildOptions(size=32), workers=1, quiet=True)
    result = run("gray.zarr", "--by", "random", "-k", 180, "-o", "m.json")
    assert "of the mask's channels never vary in" in result.output
    with pytest.raises(TrainingError, match=r"128 channels tie at the cut with energy = 0; 64 or 192 channels"):
        run("gray.zarr", "-k", 65)
    assert len(ChannelMask.read("m.json")) == 180
    allowed = run("gray.zarr", "-k", 65, "-o", "n.json", "--allow-ties")
    assert "128 channels tie at the cut" in allowed.output
    assert "Cb(0,0)" in json.loads((tmp_path / "n.json").read_text())["selection"]["values"]


def test_another_cache_is_pooled_over_and_measured(here):
    result = run(here / "gated", "--cache", here / "native.zarr", "-k", 5, "-o", "m.json", "--device", "cpu")
    assert "are read; of a fixed cache" in result.output
    mask = ChannelMask.read("m.json")
    assert (mask.cache.path, mask.selection["size"]) == (str(here / "native.zarr"), 48)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plain"], "this run has no gates.*--by weights, energy"),
        (["rgb"], "this run has no gates"),
        (["rgb", "--by", "weights"], "no weights per frequency channel"),
        (["gated", "--by", "weights"], "has gates, which shrink the weights"),
        (["gated", "--size", 48], "a run has its own size"),
        (["fixed.zarr", "--by", "gates"], "is a cache, and gates are a run's"),
        (["fixed.zarr", "--by", "weights"], "is a cache, and weights are a run's"),
        (["fixed.zarr", "--cache", "x"], "--cache is for runs"),
        (["fixed.zarr", "--size", 48], "a fixed cache has one size"),
        (["fixed.zarr", "--split", "nonsense"], "no split 'nonsense'"),
        (["photographs"], r"is not a run folder \(no checkpoint.pt\), nor a cache \(no zarr.json\)"),
        (["nowhere"], "no such run folder, and no such cache"),
        (["fixed.zarr", "--compare", "nowhere.json"], "no such mask file"),
        (["fixed.zarr", "--compare", "RUN/plain"], "this run has no mask.json to compare with"),
        (["gated", "-o", "missing/m.json"], "no such folder to write m.json to"),
        (["gated", "--table", "missing/t.csv"], "no such folder to write t.csv to"),
        (["gated", "--heatmap", "missing/h.png"], "no such folder to write h.png to"),
        (["gated", "-o", "."], "is a folder"),
    ],
)
def test_errors_come_before_the_work_and_leave_nothing(here, tmp_path, monkeypatch, arguments, words):
    def refuse(*_arguments, **_options):
        msg = "too late: the gates were pooled already"
        raise AssertionError(msg)

    monkeypatch.setattr("freqcache.training.select.channel_probabilities", refuse)
    source, *others = arguments
    others = [str(here / other[4:]) if str(other).startswith("RUN/") else other for other in others]
    with pytest.raises(FreqcacheError, match=words):
        run(here / source, *others)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "words"), [(["-k", 193], "193"), (["--heatmap", "h.gif"], "that ends in .png")])
def test_values_that_mean_nothing_are_wrong_usage(here, arguments, words):
    refused = run(here / "gated", *arguments)
    assert refused.exit_code == 2
    assert words in refused.output


def test_energy_of_a_run_on_pixels_is_its_caches(here):
    result = run(here / "rgb", "--by", "energy", "-o", "m.json")
    assert "m.json: 24 of 192 channels" in result.output
    assert "after normalization" not in result.output


def test_one_cut_alone():
    with pytest.raises(TrainingError, match="one of k, threshold and budget"):
        CutOptions(k=3, budget=100)
    result = run("x", "-k", 3, "--budget", 100)
    assert result.exit_code == 2

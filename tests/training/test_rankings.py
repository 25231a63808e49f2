"""Numbers per channel against what plain zarr reads, shard files hold, and weights say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from torch import nn

import freqcache
from freqcache.building import BuildOptions
from freqcache.dataset import FrequencyDataset
from freqcache.errors import StoreError, TrainingError
from freqcache.models import create_model
from freqcache.models.entry import entry_convolutions, entry_weights
from freqcache.normalization import Normalization
from freqcache.selection import Ranking, random_ranking, select_by_budget, select_top_k
from freqcache.selection.profile import read_profile
from freqcache.selection.table import write_table
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.mask import ChannelMask


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Smooth images of noise, 4:2:0, of several sizes, one of them gray; train and val."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (root / split / name).mkdir(parents=True)
            for number in range(6):
                coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                size = (64 + 8 * number, 72)
                smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=float)
                pixels = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
                mode = "L" if number == 5 else "RGB"
                Image.fromarray(pixels).convert(mode).save(root / split / name / f"{number}.jpg", quality=88)
    return root


@pytest.fixture(scope="module")
def caches(photographs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches")
    freqcache.build(photographs, folder / "fixed.zarr", BuildOptions(size=48), workers=1, quiet=True)
    freqcache.build(photographs, folder / "native.zarr", BuildOptions(), workers=1, quiet=True)
    return folder


def coefficients(path, split):
    """192 flat arrays of dequantized coefficients, by plain zarr."""
    group = zarr.open_group(path / split, mode="r")
    if "coefficients" in group:
        dense = group["coefficients"][...].astype(np.float64) * group["quantization"][...][:, None, None]
        return [dense[:, channel].ravel() for channel in range(192)]
    parts = [[[] for _ in range(64)] for _ in range(3)]
    offset, blocks, steps = (group[name][...] for name in ("offset", "blocks", "quantization"))
    for component, name in enumerate(("y", "cb", "cr")):
        column = group[name][...].astype(np.float64)
        for slot in range(len(offset)):
            count = blocks[slot, component].prod()
            here = column[:, offset[slot, component] :][:, :count] * steps[slot, component][:, None]
            for frequency in range(64):
                parts[component][frequency].append(here[frequency])
    return [np.concatenate(arrays) for component in parts for arrays in component]


def bytes_on_disk(path, split):
    """Stored bytes of each channel, from the indexes at the end of the shard files."""
    totals = []
    for name in ("coefficients",) if (path / split / "coefficients").exists() else ("y", "cb", "cr"):
        document = json.loads((path / split / name / "zarr.json").read_text())
        shard = document["chunk_grid"]["configuration"]["chunk_shape"]
        chunk = document["codecs"][0]["configuration"]["chunk_shape"]
        grid = [n // m for n, m in zip(shard, chunk, strict=True)][:2]
        total = np.zeros(192 if name == "coefficients" else 64, dtype=np.int64)
        for file in (path / split / name / "c").rglob("*"):
            if file.is_file():
                index = np.frombuffer(file.read_bytes()[-(grid[0] * grid[1] * 16 + 4) : -4], dtype="<u8")
                lengths = index.reshape(*grid, 2)[..., 1]
                lengths = np.where(lengths == 2**64 - 1, 0, lengths).astype(np.int64)
                total += lengths.sum(axis=0 if name == "coefficients" else 1)
        totals.append(total)
    return np.concatenate(totals)


@pytest.mark.parametrize("kind", ["fixed", "native"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_energy_and_deviation_are_those_of_the_coefficients(caches, kind, split):
    profile = read_profile(str(caches / f"{kind}.zarr"), split=split)
    values = coefficients(caches / f"{kind}.zarr", split)
    energy = np.array([np.mean(v**2) for v in values])
    deviation = np.array([np.std(v) for v in values])
    np.testing.assert_allclose(profile.energy, energy, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(profile.std, deviation, rtol=1e-6, atol=1e-6)
    ranked = profile.energy_ranking(ChannelMask.preset("24"))
    assert ranked.ranked.tolist() == ChannelMask.preset("24").indices.tolist()
    assert set(select_top_k(profile.energy_ranking(), 7).mask.indices) == set(np.argsort(energy)[-7:])
    assert set(select_top_k(profile.deviation_ranking(), 7).mask.indices) == set(np.argsort(deviation)[-7:])
    assert f"split {split}" in profile.source


@pytest.mark.parametrize("kind", ["fixed", "native"])
def test_bytes_are_those_on_disk(caches, kind):
    path = caches / f"{kind}.zarr"
    profile = read_profile(str(path))
    stored = bytes_on_disk(path, "train") / 12
    np.testing.assert_allclose(profile.channel_bytes, stored)
    for name in ("6", "24-learned", "192"):
        mask = ChannelMask.preset(name)
        assert profile.cost(mask) == pytest.approx(stored[mask.indices].sum())
        if kind == "fixed":
            assert profile.cost(mask) == pytest.approx(FrequencyDataset(path, channels=mask).bytes_per_image)
    order = np.argsort(-profile.energy)
    budget = stored[order[:9]].sum() + 0.5
    selection = select_by_budget(profile.energy_ranking(), budget, profile.cost)
    assert set(selection.mask.indices) == set(order[:9])
    assert selection.bytes_per_image == pytest.approx(budget - 0.5)


def test_a_resize_changes_energies_and_what_is_read(caches):
    path = caches / "native.zarr"
    profile = read_profile(str(path), size=48)
    dataset = FrequencyDataset(path, size=48)
    values = dataset.read(range(len(dataset))).double().numpy()  # (12, 192, 6, 6)
    np.testing.assert_allclose(profile.energy, (values**2).mean(axis=(0, 2, 3)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(profile.std, values.std(axis=(0, 2, 3)), rtol=1e-4, atol=2e-3)
    plain = read_profile(str(path))
    assert not np.allclose(profile.energy, plain.energy, rtol=0.05)
    mask = ChannelMask.preset("6")
    expected = FrequencyDataset(path, channels=mask, size=48).bytes_per_image
    assert profile.cost(mask) == pytest.approx(expected)
    assert profile.cost(mask) > plain.cost(mask)
    assert len(profile.reads(mask)) > 6
    assert "at 48 px" in profile.source


def test_channels_that_no_image_has_are_not_ranked(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / "gray" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "gray" / name / f"{number}.jpg")
    freqcache.build(tmp_path / "gray", tmp_path / "g.zarr", BuildOptions(), workers=1, quiet=True)
    ranking = read_profile(str(tmp_path / "g.zarr")).energy_ranking()  # its only split, whatever its name
    assert ranking.ranked.tolist() == list(range(64))
    with pytest.raises(TrainingError, match="cannot keep 65 channels of 64 ranked ones"):
        select_top_k(ranking, 65)


def test_what_a_network_sees_after_normalization(caches):
    profile = read_profile(str(caches / "fixed.zarr"))
    channels = ChannelMask.preset("24")
    own = Normalization(
        mean=torch.from_numpy(profile.mean[channels.indices]).float(),
        std=torch.from_numpy(profile.std[channels.indices]).float(),
    )
    mean, std = profile.normalized(own, channels)
    np.testing.assert_allclose(std[channels.indices], 1, atol=1e-6)
    np.testing.assert_allclose(mean[channels.indices], 0, atol=1e-5)
    assert np.isnan(np.delete(std, channels.indices)).all()

    published = Normalization.dctnet(channels)
    mean, std = profile.normalized(published, channels)
    values = coefficients(caches / "fixed.zarr", "train")
    for place, index in enumerate(channels.indices):
        seen = (values[index] - float(published.mean[place])) / float(published.std[place])
        assert mean[index] == pytest.approx(seen.mean(), rel=1e-4, abs=1e-4)
        assert std[index] == pytest.approx(seen.std(), rel=1e-5)


def test_a_channel_that_never_varies_has_no_deviation_after_normalization(caches):
    profile = read_profile(str(caches / "fixed.zarr"))
    channels = ChannelMask.preset("6")
    profile.std[channels.indices[2]] = 0
    std = torch.from_numpy(profile.std[channels.indices]).float()
    _, seen = profile.normalized(Normalization(mean=torch.zeros(6), std=std), channels)
    np.testing.assert_allclose(seen[channels.indices], [1, 1, 0, 1, 1, 1], atol=1e-6)


def test_splits_are_named_where_none_is_for_training(photographs, caches, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("val", "test"):
        (source / name).symlink_to(photographs / "val")
    freqcache.build(source, tmp_path / "c.zarr", BuildOptions(size=48), workers=1, quiet=True)
    with pytest.raises(TrainingError, match=r"no split is called train or all; name one of .*val.* with --split"):
        read_profile(str(tmp_path / "c.zarr"))
    assert read_profile(str(tmp_path / "c.zarr"), split="val").split == "val"
    with pytest.raises(StoreError, match="no split 'nonsense'"):
        read_profile(str(tmp_path / "c.zarr"), split="nonsense")


@pytest.mark.parametrize(
    ("arch", "names"),
    [
        ("resnet18", ("layer1.0.conv1", "layer1.0.downsample.0")),
        ("resnet50", ("layer1.0.conv1", "layer1.0.downsample.0")),
        ("mobilenet_v2", ("features.1.conv.1",)),
    ],
)
def test_weights_are_the_norms_of_the_first_convolutions(arch, names):
    torch.manual_seed(0)
    network = create_model(arch, in_channels=24, num_classes=3, width=0.25)
    assert entry_convolutions(network) == names
    state = network.state_dict()
    expected = [
        np.sqrt(sum(float((state[f"{name}.weight"][:, channel].double() ** 2).sum()) for name in names))
        for channel in range(24)
    ]
    np.testing.assert_allclose(entry_weights(network), expected)


def test_a_first_block_without_projection_has_one_convolution():
    assert entry_convolutions(create_model("resnet18", in_channels=64, num_classes=3)) == ("layer1.0.conv1",)


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2"])
def test_pixels_have_no_weights_per_channel(arch):
    with pytest.raises(TrainingError, match="no weights per frequency channel"):
        entry_weights(create_model(arch, in_channels=3, num_classes=3, input="rgb"))
    with pytest.raises(TrainingError, match="not known where the input enters a Linear"):
        entry_weights(nn.Linear(3, 3))


def test_chance_is_seeded_and_without_ties():
    a, b = random_ranking(0), random_ranking(1)
    assert (random_ranking(0).values == a.values).all()
    assert (a.values != b.values).any()
    assert len(set(a.values.tolist())) == 192
    some = random_ranking(0, ChannelMask.preset("24"))
    assert some.ranked.tolist() == ChannelMask.preset("24").indices.tolist()
    assert (some.values[some.ranked] == a.values[some.ranked]).all()


def test_rankings_refuse_what_cannot_be_ranked():
    with pytest.raises(TrainingError, match="no channel has a number"):
        Ranking(name="x", values=np.full(192, np.nan), source="here")
    infinite = np.ones(192)
    infinite[65] = np.inf
    with pytest.raises(TrainingError, match=r"here: the x of channel Cb\(0,1\) is not finite"):
        Ranking(name="x", values=infinite, source="here")
    with pytest.raises(ValueError, match=r"192.*\(24,\)"):
        Ranking(name="x", values=np.ones(24), source="here")


def test_the_table_has_a_line_per_channel(tmp_path):
    values = np.arange(192) / 7
    values[3] = np.nan
    write_table(tmp_path / "t.csv", {"energy": values}, ChannelMask.from_indices([1, 191]))
    header, *lines = (tmp_path / "t.csv").read_text().splitlines()
    assert header == "component,v,u,zigzag,energy,selected"
    assert len(lines) == 192
    for index, (line, channel) in enumerate(zip(lines, ALL_CHANNELS, strict=True)):
        component, v, u, zigzag, energy, selected = line.split(",")
        assert (component, int(v), int(u)) == tuple(channel)
        assert int(zigzag) == index % 64
        assert energy == "" if index == 3 else float(energy) == pytest.approx(index / 7, rel=1e-8)
        assert int(selected) == (index in (1, 191))
    with pytest.raises(TrainingError, match="cannot be written"):
        write_table(tmp_path / "missing" / "t.csv", {}, ChannelMask.preset("6"))

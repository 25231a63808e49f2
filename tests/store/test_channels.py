"""Stores that hold some of the channels: what may be read of them, and how everything else is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from photographs import write_tree

import freqcache
from freqcache.dataset import FrequencyDataset
from freqcache.errors import FormatError, MaskError, TrainingError
from freqcache.rewriting import repack
from freqcache.selection.profile import read_profile
from freqcache.store import FixedSplit
from freqcache.training import RunConfig, holds_few_channels, train
from freqcache.training.data import resolve_channels
from freqcache_cli.run_options import create_config
from freqcache_formats import ChannelMask
from freqcache_formats.metadata import StoreMetadata

KINDS = {"native": freqcache.BuildOptions(), "fixed": freqcache.BuildOptions(size=48)}
HELD = ChannelMask.from_indices([0, 1, 2, 4, 9, 63, 64, 70])
"""Of Y and Cb, and none of Cr."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``KIND.zarr`` with all channels, ``KIND-few.zarr`` with those of HELD."""
    folder = tmp_path_factory.mktemp("channels")
    write_tree(folder / "photos")
    for kind, options in KINDS.items():
        freqcache.build(folder / "photos", folder / f"{kind}.zarr", options, workers=1, quiet=True)
        repack(folder / f"{kind}.zarr", folder / f"{kind}-few.zarr", channels=HELD, workers=1, quiet=True)
    return folder


def coefficients(split: Any, mask: ChannelMask) -> list[Any]:
    """Return every sample's coefficients as a list of arrays."""
    if isinstance(split, FixedSplit):
        return list(split.read(split.slots, mask))
    return [part for sample in split.read(split.slots, mask) for part in (*sample.coefficients, *sample.quantization)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("indices", [HELD.indices.tolist(), [0], [70], [4, 63, 64], [1, 2, 9]])
def test_masks_of_what_is_held_read_as_from_the_full_store(stores: Path, kind: str, indices: list[int]) -> None:
    mask = ChannelMask.from_indices(indices)
    for split in ("train", "val"):
        few, full = (freqcache.open(stores / f"{kind}{name}.zarr")[split] for name in ("-few", ""))
        found, expected = coefficients(few, mask), coefficients(full, mask)
        assert len(found) == len(expected) > 0
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert few.stored_bytes(mask) == int(few.channel_bytes()[mask.indices].sum()) > 0
        copy = pickle.loads(pickle.dumps(few))
        np.testing.assert_array_equal(coefficients(copy, mask)[0], expected[0])


def test_the_rows_are_those_that_zarr_sees(stores: Path) -> None:
    """Row by row: the stored channels are rows of the arrays, in their order, and no others are there."""
    table = [list(channel) for channel in HELD.channels]
    for kind in KINDS:
        root = json.loads((stores / f"{kind}-few.zarr" / "zarr.json").read_text())["attributes"]["freqcache"]
        assert (root["channels"], root["version"]) == (table, "1.1")
    few, full = (zarr.open_group(stores / f"fixed{name}.zarr" / "train", mode="r") for name in ("-few", ""))
    np.testing.assert_array_equal(few["coefficients"][...], full["coefficients"][...][:, HELD.indices])
    np.testing.assert_array_equal(few["quantization"][...], full["quantization"][...][HELD.indices])
    native: Any = zarr.open_group(stores / "native-few.zarr" / "train", mode="r")
    whole: Any = zarr.open_group(stores / "native.zarr" / "train", mode="r")
    assert "cr" not in native
    np.testing.assert_array_equal(native["y"][...], whole["y"][...][[0, 1, 2, 4, 9, 63]])
    np.testing.assert_array_equal(native["cb"][...], whole["cb"][...][[0, 6]])
    np.testing.assert_array_equal(native["quantization"][...], whole["quantization"][...])


@pytest.mark.parametrize("kind", KINDS)
def test_other_channels_are_refused_by_name(stores: Path, kind: str) -> None:
    split = freqcache.open(stores / f"{kind}-few.zarr")["train"]
    mask = ChannelMask.from_indices([0, 3, 128])
    words = r"few.*holds 8 of the 192 channels, and not 2 of the 3 wanted: Y\(2,0\), Cr\(0,0\); repack from the full"
    for refused in (
        lambda: split.read(split.slots, mask),
        lambda: split.stored_bytes(mask),
        lambda: FrequencyDataset(stores / f"{kind}-few.zarr", channels=mask),
        lambda: freqcache.make_hot(stores / f"{kind}-few.zarr", mask, quiet=True),
    ):
        with pytest.raises(MaskError, match=words):
            refused()
    assert not (stores / f"{kind}-few.zarr" / "hot").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_channels_are_of_all_192(stores: Path, kind: str) -> None:
    few, full = (freqcache.open(stores / f"{kind}{name}.zarr")["train"] for name in ("-few", ""))
    missing = np.setdiff1d(np.arange(192), HELD.indices)
    for name in ("mean", "std", "std_of_means", "minimum", "maximum", "zero_fraction"):
        found = getattr(few.statistics, name)
        np.testing.assert_array_equal(found[HELD.indices], getattr(full.statistics, name)[HELD.indices])
        assert np.isnan(found[missing]).all()
    assert not few.statistics.count[missing].any()
    assert not few.channel_bytes()[missing].any()
    np.testing.assert_array_equal(few.channel_bytes()[HELD.indices], full.channel_bytes()[HELD.indices])
    assert "8 channels" in repr(freqcache.open(stores / f"{kind}-few.zarr"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_has_the_stored_channels_by_default(stores: Path, kind: str) -> None:
    few = FrequencyDataset(stores / f"{kind}-few.zarr")
    full = FrequencyDataset(stores / f"{kind}.zarr", channels=HELD)
    assert few.channels.channels == HELD.channels
    for a, b in zip(few.normalization(), full.normalization(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    torch.testing.assert_close(few.scale, full.scale, rtol=0, atol=0)
    if kind == "fixed":
        torch.testing.assert_close(few.read([3, 0]), full.read([3, 0]), rtol=0, atol=0)
    np.testing.assert_array_equal(few.channel_bytes, full.channel_bytes)


@pytest.mark.parametrize("policy", ["exact", "fast"])
def test_a_resize_needs_all_that_it_mixes(stores: Path, policy: Any) -> None:
    few = FrequencyDataset(stores / "native-few.zarr", channels=ChannelMask.from_indices([0]), size=32, policy=policy)
    with pytest.raises(MaskError, match=r"native-few.*mixes 64 channels into the 1 wanted, and what fast leaves out"):
        few.read([0])


@pytest.mark.parametrize("policy", ["exact", "fast"])
def test_a_resize_of_a_store_that_holds_what_it_mixes(stores: Path, tmp_path: Path, policy: Any) -> None:
    mask = ChannelMask.from_indices([0, 1, 5])
    options: dict[str, Any] = {"channels": mask, "size": 32, "policy": policy}
    full = FrequencyDataset(stores / "native.zarr", **options)
    exact = FrequencyDataset(stores / "native.zarr", channels=mask, size=32).source_channels
    repack(stores / "native.zarr", tmp_path / "few", channels=exact, workers=1, quiet=True)
    few = FrequencyDataset(tmp_path / "few", **options)
    assert few.source_channels.channels == full.source_channels.channels
    torch.testing.assert_close(few.read(range(len(few))), full.read(range(len(full))), rtol=0, atol=0)
    torch.testing.assert_close(few.normalization(), full.normalization(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hot_copy_of_few_channels(stores: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "few"
    repack(stores / f"{kind}.zarr", out, channels=HELD, workers=1, quiet=True)
    mask = ChannelMask.from_indices([1, 4, 70])
    expected = coefficients(freqcache.open(out)["train"], mask)
    freqcache.make_hot(out, mask, quiet=True)
    assert freqcache.open(out).hot is not None
    for a, b in zip(coefficients(freqcache.open(out)["train"], mask), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        coefficients(freqcache.open(out)["train"], HELD)[:2],
        coefficients(freqcache.open(stores / f"{kind}.zarr")["train"], HELD)[:2],
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_profile_ranks_what_is_stored(stores: Path) -> None:
    profile, full = (read_profile(str(stores / f"fixed{name}.zarr")) for name in ("-few", ""))
    np.testing.assert_array_equal(profile.energy_ranking().ranked, HELD.indices)
    np.testing.assert_array_equal(profile.energy[HELD.indices], full.energy[HELD.indices])


def test_a_run_takes_the_stored_channels(stores: Path, tmp_path: Path) -> None:
    path = str(stores / "fixed-few.zarr")
    options: dict[str, Any] = {"epochs": 1, "batch_size": 4, "width": 0.125, "shift": 0, "device": "cpu", "threads": 1}
    result = train(RunConfig(cache=path, **options), out=tmp_path / "run")
    named = train(RunConfig(cache=str(stores / "fixed.zarr"), channels=HELD, **options), out=tmp_path / "named")
    assert (result.channels, result.top1) == (8, named.top1)
    gated = train(RunConfig(cache=path, gate="dynamic", **options), out=tmp_path / "gated", k=3)
    assert gated.selected is not None
    mask = gated.selected.mask
    assert mask is None or not mask.missing_from(HELD)
    with pytest.raises(TrainingError, match=r"few.zarr: holds 8 of the 192 channels: .*--input rgb reconstructs"):
        train(RunConfig(cache=path, input="rgb", **options), out=tmp_path / "rgb")
    with pytest.raises(TrainingError, match="target_channels must be below the 8 channels there are"):
        train(RunConfig(cache=path, gate="dynamic", target_channels=24, **options), out=tmp_path / "target")


def test_configurations_of_a_store_with_few_channels(stores: Path) -> None:
    few, full = (str(stores / f"fixed{name}.zarr") for name in ("-few", ""))
    none = {"recipe": None, "channels": None}
    assert create_config(few, dict(none)).gate == "none"
    assert create_config(full, dict(none)).gate == "dynamic"
    assert create_config(few, none | {"target_channels": 4.0}).gate == "dynamic"
    assert create_config(few, dict(none), gated=True).gate == "dynamic"
    assert (holds_few_channels(few), holds_few_channels(full), holds_few_channels("nowhere")) == (True, False, False)
    resolved = resolve_channels(RunConfig(cache=few))
    assert resolved.channels is not None
    assert resolved.channels.channels == HELD.channels
    assert resolve_channels(RunConfig(cache=full)).channels is None


def test_metadata_of_few_channels() -> None:
    options: dict[str, Any] = {"id": "0", "kind": "fixed", "splits": ("all",), "classes": ("a",), "creator": "test"}
    document = StoreMetadata(options={}, channels=HELD, **options).to_dict()
    assert StoreMetadata.from_dict(document).channels.channels == HELD.channels
    for changed, words in (
        ({"version": "1.0"}, "a store of version 1.0 has 192, found 8"),
        ({"channels": document["channels"][::-1]}, "expected the 192 channels in storage order, or some of them"),
        ({"channels": document["channels"][:1] * 2}, "or some of them"),
        ({"channels": [["Y", 9, 9]]}, "or some of them"),
        ({"channels": []}, "or some of them"),
        ({"channels": None}, "or some of them"),
    ):
        with pytest.raises(FormatError, match=words):
            StoreMetadata.from_dict(document | changed)

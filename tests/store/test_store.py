"""Opening stores and reading from them: masks, slots, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photographs import write_tree

import freqcache
from freqcache.building.arrays import write_array
from freqcache.errors import FormatError, StoreError
from freqcache.store import FixedSplit, NativeSplit
from freqcache.store.targets import LocalTarget
from freqcache_formats import ChannelMask

masks = st.sets(st.integers(0, 191), min_size=1, max_size=40).map(ChannelMask.from_indices)
slots = st.lists(st.integers(0, 13), min_size=0, max_size=8)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    write_tree(folder / "photos")
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", freqcache.BuildOptions(size=48), workers=1, quiet=True)
    return folder


def fixed_split(stores: Path) -> FixedSplit:
    split = freqcache.open(stores / "fixed.zarr")["train"]
    assert isinstance(split, FixedSplit)
    return split


def native_split(stores: Path) -> NativeSplit:
    split = freqcache.open(stores / "native.zarr")["train"]
    assert isinstance(split, NativeSplit)
    return split


@quick
@given(mask=masks, wanted=slots)
def test_masked_read_of_a_fixed_split_is_zarrs_read_then_select(
    stores: Path, mask: ChannelMask, wanted: list[int]
) -> None:
    everything = zarr.open_array(stores / "fixed.zarr" / "train" / "coefficients", mode="r")[...]
    np.testing.assert_array_equal(fixed_split(stores).read(wanted, mask), everything[wanted][:, mask.indices])


@quick
@given(mask=masks, wanted=slots)
def test_masked_read_of_a_native_split_is_zarrs_read_then_select(
    stores: Path, mask: ChannelMask, wanted: list[int]
) -> None:
    group = zarr.open_group(stores / "native.zarr" / "train", mode="r")
    columns = [group[name][...] for name in ("y", "cb", "cr")]
    offsets, grids, steps = (group[name][...] for name in ("offset", "blocks", "quantization"))
    read = native_split(stores).read(wanted, mask)
    assert len(read) == len(wanted)
    for slot, sample in zip(wanted, read, strict=True):
        for component in range(3):
            rows, cols = grids[slot, component]
            frequencies = mask.frequencies[component]
            here = slice(offsets[slot, component], offsets[slot, component] + rows * cols)
            expected = columns[component][frequencies, here].reshape(len(frequencies), rows, cols)
            np.testing.assert_array_equal(sample.coefficients[component], expected)
            np.testing.assert_array_equal(sample.quantization[component], steps[slot, component, frequencies])


def test_stored_bytes_grow_with_the_mask(stores: Path) -> None:
    for split in (fixed_split(stores), native_split(stores)):
        sizes = [split.stored_bytes(ChannelMask.preset(name)) for name in ("6", "24", "64", "192")]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]


def test_statistics_are_those_of_the_dequantized_coefficients(stores: Path) -> None:
    split = fixed_split(stores)
    values = split.read(split.slots, ChannelMask.load("all")) * split.quantization[:, None, None].astype(np.float64)
    statistics = split.statistics
    np.testing.assert_allclose(statistics.mean, values.mean(axis=(0, 2, 3)), atol=1e-9)
    np.testing.assert_allclose(statistics.std, values.std(axis=(0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(statistics.std_of_means, values.mean(axis=(2, 3)).std(axis=0), atol=1e-6)
    np.testing.assert_array_equal(statistics.minimum, values.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(statistics.maximum, values.max(axis=(0, 2, 3)))
    np.testing.assert_allclose(statistics.zero_fraction, (values == 0).mean(axis=(0, 2, 3)))


def test_native_statistics_are_those_of_all_blocks(stores: Path) -> None:
    split = native_split(stores)
    samples = split.read(split.slots, ChannelMask.load("all"))
    for component in range(3):
        flat = np.concatenate(
            [
                (s.coefficients[component].astype(np.float64) * s.quantization[component][:, None, None]).reshape(
                    64, -1
                )
                for s in samples
            ],
            axis=1,
        )
        here = slice(64 * component, 64 * component + 64)
        np.testing.assert_allclose(split.statistics.mean[here], flat.mean(axis=1), atol=1e-9)
        np.testing.assert_allclose(split.statistics.std[here], flat.std(axis=1), atol=1e-6)
        np.testing.assert_array_equal(split.statistics.count[here], flat.shape[1])


@pytest.mark.parametrize("wanted", [[14], [-1]])
def test_slots_outside_are_refused(stores: Path, wanted: list[int]) -> None:
    for split in (fixed_split(stores), native_split(stores)):
        with pytest.raises(StoreError, match=r"outside 0\.\.13"):
            split.read(wanted, ChannelMask.preset("6"))


def test_memory_that_is_read_only_is_not_written_to(stores: Path) -> None:
    split, content = fixed_split(stores), bytes(36)
    out = np.frombuffer(content, dtype=np.int8).reshape(1, 1, 6, 6)
    with pytest.raises(ValueError, match="read-only"):
        split.read([0], ChannelMask.from_indices([0]), out=out)
    assert content == bytes(36)


def test_damage_names_store_array_and_chunk(stores: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "native.zarr", tmp_path / "hurt.zarr")
    shard = tmp_path / "hurt.zarr" / "train" / "y" / "c" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[10] ^= 1
    shard.write_bytes(content)
    split = freqcache.open(tmp_path / "hurt.zarr")["train"]
    with pytest.raises(StoreError, match=r"hurt.zarr/train/y/c/0/0: chunk of channel 0, row group 0: CRC-32C"):
        split.read([0], ChannelMask.preset("6"))
    (tmp_path / "hurt.zarr" / "train" / "label" / "zarr.json").unlink()
    split = freqcache.open(tmp_path / "hurt.zarr")["train"]
    with pytest.raises(StoreError, match=r"train/label: no readable array metadata"):
        split.read([0], ChannelMask.preset("6"))


def edited(stores: Path, out: Path, **changes: object) -> Path:
    shutil.copytree(stores / "fixed.zarr", out)
    document = json.loads((out / "zarr.json").read_text())
    document["attributes"]["freqcache"].update(changes)
    (out / "zarr.json").write_text(json.dumps(document))
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2.0"}, "version '2.0' is not one this release reads"),
        ({"version": None}, "version None"),
        ({"complete": False}, "did not finish"),
        ({"kind": "odd", "classes": []}, "kind.*classes"),
        ({"splits": ["train", "hot"]}, "the name 'hot' is the hot copy's"),
        ({"channels": []}, "192 channels"),
    ],
)
def test_stores_of_other_kinds_are_refused(
    stores: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        freqcache.open(edited(stores, tmp_path / "other.zarr", **changes))


def test_a_later_minor_version_is_read(stores: Path, tmp_path: Path) -> None:
    assert freqcache.open(edited(stores, tmp_path / "later.zarr", version="1.9", more=1)).splits == ("train", "val")


def test_what_is_no_store_is_refused(tmp_path: Path, stores: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        freqcache.open(tmp_path / "gone")
    with pytest.raises(StoreError, match="not a freqcache store"):
        freqcache.open(tmp_path)
    zarr.create_group(tmp_path / "foreign.zarr")
    with pytest.raises(StoreError, match="no attribute"):
        freqcache.open(tmp_path / "foreign.zarr")
    with pytest.raises(StoreError, match="no split 'test'; it has train, val"):
        freqcache.open(stores / "fixed.zarr")["test"]


@pytest.mark.parametrize("name", ["label", "origin", "blocks", "offset", "row_group_start"])
def test_a_missing_chunk_of_a_small_array_is_no_zeros(stores: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(stores / "native.zarr", tmp_path / "hurt.zarr")
    shutil.rmtree(tmp_path / "hurt.zarr" / "train" / name / "c")
    split = freqcache.open(tmp_path / "hurt.zarr")["train"]
    with pytest.raises(StoreError, match=f"train/{name}/c/0.*cannot be read"):
        split.values(name)


@pytest.mark.parametrize("name", ["label", "sampling", "source_path", "shard_digest"])
def test_small_arrays_are_those_of_zarr(stores: Path, name: str) -> None:
    np.testing.assert_array_equal(
        native_split(stores).values(name), zarr.open_array(stores / "native.zarr" / "train" / name, mode="r")[...]
    )


def rewritten(stores: Path, out: Path, name: str, values: np.ndarray) -> NativeSplit:
    """Copy the native store with one small array replaced, as another writer might."""
    shutil.copytree(stores / "native.zarr", out)
    old = zarr.open_array(out / "train" / name, mode="r")
    compressors = json.loads((out / "train" / name / "zarr.json").read_text())["codecs"][1:]
    shutil.rmtree(out / "train" / name)
    array = zarr.create_array(
        out / "train" / name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(len(values), *old.chunks[1:])[: values.ndim],
        compressors=compressors,
        fill_value=0,
    )
    array[...] = values
    split = freqcache.open(out)["train"]
    assert isinstance(split, NativeSplit)
    return split


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("label", np.zeros(14), "expected int64"),
        ("label", np.zeros(3, dtype=np.int64), "expected int64 of shape .14,."),
        ("label", np.full(14, 2), "has label 2, there are 2 classes"),
        ("label", np.full(14, -1), "disagree about which of the slots are absent"),
        ("row_group_start", np.array([0, 3]), "does not rise from 0 to the 14 slots"),
        ("row_group_start", np.array([0, 7, 7, 14]), "does not rise from 0 to the 14 slots"),
    ],
)
def test_small_arrays_that_make_no_sense_are_refused(
    stores: Path, tmp_path: Path, name: str, values: np.ndarray, message: str
) -> None:
    split = rewritten(stores, tmp_path / "odd.zarr", name, values)
    with pytest.raises(StoreError, match=message):
        _ = split.row_groups if name == "row_group_start" else (split.labels, split.slots)


def test_paths_that_make_no_sense_do_not_hide_damage(stores: Path, tmp_path: Path) -> None:
    split = rewritten(stores, tmp_path / "odd.zarr", "source_path_offset", np.ones(1, dtype=np.int64))
    with pytest.raises(StoreError, match="source_path_offset does not rise"):
        split.source_path(5)
    shard = tmp_path / "odd.zarr" / "train" / "y" / "c" / "0" / "0"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(StoreError, match=r"index fails its checksum \(needed for slot 5\)"):
        split.read([5], ChannelMask.preset("6"))


def test_steps_of_other_channels_are_refused(stores: Path, tmp_path: Path) -> None:
    out = tmp_path / "odd.zarr"
    shutil.copytree(stores / "fixed.zarr", out)
    shutil.rmtree(out / "train" / "quantization")
    write_array(LocalTarget(out / "train" / "quantization"), np.ones(10, dtype=np.float32), ("channel",))
    with pytest.raises(StoreError, match="quantization of 192 channels, found 10"):
        freqcache.FrequencyDataset(out)


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 0]}}},
        {"shape": ["a", 3]},
        {"codecs": []},
        {"data_type": "float32"},
    ],
)
def test_hostile_array_metadata_are_store_errors(stores: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    shutil.copytree(stores / "native.zarr", tmp_path / "odd.zarr")
    path = tmp_path / "odd.zarr" / "train" / "y" / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StoreError, match="train/y"):
        freqcache.open(tmp_path / "odd.zarr")["train"].read([0], ChannelMask.preset("6"))


def reshaped(shape: list[object], chunk: list[object], shard: list[object]) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        document["shape"] = shape
        document["codecs"][0]["configuration"]["chunk_shape"] = chunk
        document["chunk_grid"]["configuration"]["chunk_shape"] = shard

    return edit


@pytest.mark.parametrize(
    ("name", "array", "edit"),
    [
        ("fixed", "coefficients", reshaped([14, 192, 6, 6], [16, 1, 2, 2], [512, 192, 2, 2])),
        ("fixed", "coefficients", reshaped([14, 192, 6, 6], [16, 2, 6, 6], [512, 192, 6, 6])),
        ("fixed", "coefficients", reshaped([14, 192, 0, 6], [16, 1, 6, 6], [512, 192, 6, 6])),
        ("fixed", "coefficients", reshaped([5, 192, 6, 6], [16, 1, 6, 6], [512, 192, 6, 6])),
        ("fixed", "coefficients", reshaped([64, 192], [1, 16], [64, 512])),
        ("fixed", "coefficients", reshaped([14, 192, 2**20, 2**20], [16, 1, 2**20, 2**20], [512, 192, 2**20, 2**20])),
        ("fixed", "coefficients", reshaped([14, 2, 6, 6], [16, 1, 6, 6], [512, 2, 6, 6])),
        ("native", "y", reshaped([14, 192, 6, 6], [16, 1, 6, 6], [512, 192, 6, 6])),
        ("native", "y", reshaped([64, 2**62], [1, 2**62], [64, 2**62])),
        ("native", "y", reshaped([64, 2**80], [1, 2**80], [64, 2**80])),
        ("native", "y", lambda document: document.update(data_type=">i2")),
        ("native", "y", lambda document: document.update(data_type="int8")),
        ("native", "y", lambda document: document["codecs"][0]["configuration"].update(codecs=["bytes", "blosc"])),
        ("native", "blocks", lambda document: document.update(codecs=["bytes", "zstd", "crc32c"])),
        ("native", "blocks", lambda document: document["codecs"][1]["configuration"].update(level=float("inf"))),
        ("native", "source_path", lambda document: document.update(shape=[2**61])),
    ],
)
def test_arrays_of_another_form_are_store_errors(
    stores: Path, tmp_path: Path, name: str, array: str, edit: Callable[[dict[str, Any]], None]
) -> None:
    shutil.copytree(stores / f"{name}.zarr", tmp_path / "odd.zarr")
    path = tmp_path / "odd.zarr" / "train" / array / "zarr.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    split = freqcache.open(tmp_path / "odd.zarr")["train"]
    with pytest.raises(StoreError, match=f"train/{array}"):
        _ = split.values(array) if array == "source_path" else split.read(range(14), ChannelMask.preset("6"))


def test_a_split_name_cannot_lead_out_of_the_store(stores: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="splits"):
        freqcache.open(edited(stores, tmp_path / "odd.zarr", splits=["../../fixed.zarr/train"]))

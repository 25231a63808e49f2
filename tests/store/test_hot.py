"""The hot copy: the same coefficients as the store, plain Zarr, damage noticed, made again where it was left."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from photographs import encoded, write_tree

import freqcache
import freqcache.building.hot as making
import freqcache.store.hot as reading
from freqcache.building.arrays import write_array
from freqcache.building.hot import make_hot
from freqcache.errors import BuildError, FormatError, StoreError
from freqcache.store import FixedSplit, NativeBatch, NativeSplit, open_store
from freqcache.store.targets import LocalTarget
from freqcache_formats import ChannelMask
from freqcache_formats.hot import HotMetadata
from freqcache_formats.layout import NATIVE_SAMPLE_ARRAYS, SAMPLE_ARRAYS

HELD = ChannelMask.from_indices([0, 1, 2, 3, 5, 6, 40, 64, 65, 70, 130])
KINDS = {"native": freqcache.BuildOptions(), "int8": freqcache.BuildOptions(size=48)}
KINDS["int16"] = freqcache.BuildOptions(size=48, exact=True)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hot")
    write_tree(folder / "photos")
    (folder / "photos" / "train" / "ant" / "cut.jpg").write_bytes(
        (folder / "photos" / "train" / "ant" / "0.jpg").read_bytes()[:900]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "SLOTS_PER_CHUNK", 4)
        for name, options in KINDS.items():
            freqcache.build(folder / "photos", folder / f"{name}.zarr", options, workers=1, quiet=True)
            make_hot(folder / f"{name}.zarr", HELD, quiet=True)
        yield folder


def assert_same(found: object, expected: object) -> None:
    if not isinstance(expected, NativeBatch):
        np.testing.assert_array_equal(found, expected)
        return
    assert isinstance(found, NativeBatch)
    for a, b in zip(found, expected, strict=True):
        for x, y in zip(a.coefficients, b.coefficients, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("way", ["compiled", "general"])
@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_the_same_coefficients_are_read(stores: Path, name: str, way: str, data: st.DataObject) -> None:
    mask = ChannelMask.from_indices(data.draw(st.sets(st.sampled_from(HELD.indices.tolist()), min_size=1)))
    split = data.draw(st.sampled_from(["train", "val"]))
    hot, cold = open_store(stores / f"{name}.zarr")[split], open_store(stores / f"{name}.zarr", hot=False)[split]
    slots = data.draw(st.lists(st.sampled_from(cold.slots.tolist()), max_size=10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hot, "_gather", None)  # the store itself must not be read
        if way == "general":
            patch.setattr(reading, "functions", lambda: None)
        assert_same(hot.read(slots, mask, threads=data.draw(st.integers(1, 3))), cold.read(slots, mask))


@pytest.mark.parametrize("name", KINDS)
def test_other_channels_come_from_the_store(stores: Path, name: str) -> None:
    mask = ChannelMask.from_indices([0, 4])
    hot, cold = open_store(stores / f"{name}.zarr")["val"], open_store(stores / f"{name}.zarr", hot=False)["val"]
    assert_same(hot.read([3, 1], mask), cold.read([3, 1], mask))


def test_zarr_reads_it_and_its_attributes_follow_their_schema(stores: Path) -> None:
    for name in KINDS:
        group = zarr.open_group(stores / f"{name}.zarr" / "hot", mode="r")
        attributes = dict(group.attrs)["freqcache"]
        schema = json.loads((files("freqcache_formats") / "schemas" / "hot.schema.json").read_text())
        jsonschema.validate(attributes, schema)
        assert HotMetadata.from_dict(attributes).to_dict() == attributes
        for required in schema["required"]:
            with pytest.raises(FormatError):
                HotMetadata.from_dict({key: value for key, value in attributes.items() if key != required})
    for name in ("int8", "int16"):
        cold = open_store(stores / f"{name}.zarr", hot=False)["train"]
        assert isinstance(cold, FixedSplit)
        values = zarr.open_array(stores / f"{name}.zarr" / "hot" / "train" / "coefficients", mode="r")
        assert not values.compressors
        np.testing.assert_array_equal(np.asarray(values[...])[cold.slots], cold.read(cold.slots, HELD))
    cold = open_store(stores / "native.zarr", hot=False)["train"]
    assert isinstance(cold, NativeSplit)
    group = zarr.open_group(stores / "native.zarr" / "hot" / "train", mode="r")
    start, arrays = np.asarray(group["start"]), [np.asarray(group[name]) for name in ("y", "cb", "cr")]
    for slot, sample in zip(cold.slots, cold.read(cold.slots, HELD), strict=True):
        for component, part in enumerate(sample.coefficients):
            first = start[slot, component]
            np.testing.assert_array_equal(arrays[component][first : first + part.size], part.reshape(-1))


@pytest.mark.parametrize("way", ["compiled", "general"])
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_noticed(stores: Path, tmp_path: Path, name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "general":
        monkeypatch.setattr(reading, "functions", lambda: None)
    store = tmp_path / "hurt.zarr"
    shutil.copytree(stores / f"{name}.zarr", store)
    shard = store / "hot" / "train" / ("y/c/1" if name == "native" else "coefficients/c/1/0/0/0")
    content = bytearray(shard.read_bytes())
    for position in (0, 5, 100):
        shard.write_bytes(content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :])
        split = open_store(store)["train"]
        with pytest.raises(StoreError, match=r"hot/train/.*/c/1.*: slot \d+: CRC-32C does not match"):
            split.read(split.slots, HELD)
    split.read(split.slots[:3], HELD)  # of another chunk
    os.truncate(shard, len(content) - 1)
    with pytest.raises(StoreError, match=rf"c/1.*: has {len(content) - 1} bytes, expected {len(content)}"):
        split.read(split.slots, HELD)
    shard.unlink()
    with pytest.raises(StoreError, match=r"c/1.*: cannot be read: No such file"):
        split.read(split.slots, HELD)


def test_sizes_that_overflow_are_refused(stores: Path, tmp_path: Path) -> None:
    """2**60 blocks of 16 channels are 2**65 bytes: 0 in 64 bits. Nothing may be read at such addresses."""
    store, mask = tmp_path / "huge.zarr", ChannelMask.from_indices(range(16))
    shutil.copytree(stores / "native.zarr", store)
    make_hot(store, mask, overwrite=True, quiet=True)
    split = open_store(store)["train"]
    assert isinstance(split, NativeSplit)
    assert split._hot is not None
    slots, blocks, starts = np.array([0]), np.array([2**60]), np.array([0])
    with pytest.raises(StoreError, match="does not hold all blocks"):
        split._hot.read_native(0, slots, blocks, mask, starts, np.empty(0, dtype=np.int16), 1)
    sizes = split.values("blocks")
    shutil.rmtree(store / "train" / "blocks")
    for grid in ((2**30, 2**30), (2**22, 2**22), (-(2**30), -(2**30))):
        sizes[split.slots[0], 0] = grid
        write_array(LocalTarget(store / "train" / "blocks"), sizes, ("sample", "component", "rowcol"))
        for hot in (True, False):
            with pytest.raises(StoreError, match=r"train/y: the blocks of slot .* do not lie in one chunk"):
                open_store(store, hot=hot)["train"].read(split.slots[:1], mask)


def test_a_copy_of_another_store_is_refused(stores: Path, tmp_path: Path) -> None:
    shutil.copytree(stores / "int8.zarr", tmp_path / "a.zarr")
    document = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    document["attributes"]["freqcache"]["id"] = "0" * 32
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"a.zarr/hot: a hot copy of the store .*, not of 0000"):
        open_store(tmp_path / "a.zarr")
    assert len(open_store(tmp_path / "a.zarr", hot=False)["train"]) == 14


def test_a_store_of_gray_images_can_have_one(tmp_path: Path) -> None:
    """Its chroma has no elements, which is no reason to miss its arrays."""
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "0.jpg").write_bytes(encoded(0, 40, 40, mode="L"))
    out = tmp_path / "out.zarr"
    freqcache.build(tmp_path / "photos", out, workers=1, quiet=True)
    make_hot(out, "24", quiet=True)
    for mask in (ChannelMask.preset("24"), ChannelMask.from_indices([0, 1]), ChannelMask.from_indices([64])):
        split, cold = open_store(out)["all"], open_store(out, hot=False)["all"]
        assert_same(split.read(split.slots, mask), cold.read(split.slots, mask))


def test_a_split_without_slots_can_have_one(stores: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    shutil.copytree(stores / "native.zarr", out)
    document = json.loads((out / "val" / "zarr.json").read_text())
    document["attributes"]["freqcache"] |= {"slots": 0, "samples": 0}
    (out / "val" / "zarr.json").write_text(json.dumps(document))
    for name, layout in (SAMPLE_ARRAYS | NATIVE_SAMPLE_ARRAYS).items():
        shutil.rmtree(out / "val" / name)
        write_array(
            LocalTarget(out / "val" / name), np.zeros((0, *layout.shape), dtype=layout.dtype), layout.dimensions
        )
    make_hot(out, HELD, overwrite=True, quiet=True)
    assert len(open_store(out)["val"].read([], HELD)) == 0


def test_a_copy_that_is_replaced_by_one_of_other_channels_is_noticed(stores: Path, tmp_path: Path) -> None:
    """Its files have the same sizes and sound checksums."""
    store = tmp_path / "out.zarr"
    shutil.copytree(stores / "int8.zarr", store)
    make_hot(store, ChannelMask.from_indices([0, 1]), overwrite=True, quiet=True)
    split = open_store(store)["train"]
    make_hot(store, ChannelMask.from_indices([7, 8]), overwrite=True, quiet=True)
    with pytest.raises(StoreError, match="hot: the hot copy was replaced while it was in use"):
        split.read(split.slots, ChannelMask.from_indices([0, 1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "9.0"}, "version '9.0' is not one"),
        ({"channels": [["Y", 0, 1], ["Y", 0, 0]]}, "channels: expected some"),
    ],
)
def test_metadata_that_make_no_sense_are_refused_by_name(
    stores: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    store = tmp_path / "odd.zarr"
    shutil.copytree(stores / "int8.zarr", store)
    document = json.loads((store / "hot" / "zarr.json").read_text())
    document["attributes"]["freqcache"] |= changes
    (store / "hot" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match=f"odd.zarr/hot: .*{message}"):
        open_store(store)


@pytest.mark.parametrize("length", [0, -4, 2**70, float("inf"), "4"])
@pytest.mark.parametrize("array", ["checksum", "y"])
def test_chunk_lengths_that_make_no_sense_are_refused(stores: Path, tmp_path: Path, array: str, length: object) -> None:
    store = tmp_path / "odd.zarr"
    shutil.copytree(stores / "native.zarr", store)
    path = store / "hot" / "train" / array / "zarr.json"
    document = json.loads(path.read_text())
    document["chunk_grid"]["configuration"]["chunk_shape"] = [length]
    path.write_text(json.dumps(document))
    split = open_store(store)["train"]
    with pytest.raises(StoreError, match=f"hot/train/{array}: no readable array metadata: chunks of"):
        split.read(split.slots, HELD)


def test_building_anew_removes_the_copy(stores: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    freqcache.build(stores / "photos", out, KINDS["int8"], workers=1, quiet=True)
    make_hot(out, "6", quiet=True)
    freqcache.build(stores / "photos", out, KINDS["native"], workers=1, quiet=True, overwrite=True)
    assert not (out / "hot").exists()
    assert len(open_store(out)["train"]) == 14


def test_what_stands_there_is_left_alone_unless_asked(stores: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    freqcache.build(stores / "photos", out, KINDS["int8"], workers=1, quiet=True)
    (out / "hot").mkdir()
    (out / "hot" / "notes.txt").write_text("precious")
    with pytest.raises(BuildError, match="hot: exists and is not a freqcache store; it is left alone"):
        make_hot(out, "6", quiet=True)
    (out / "hot" / "notes.txt").unlink()
    (out / "hot").rmdir()
    first = make_hot(out, "6", quiet=True)
    with pytest.raises(BuildError, match="exists and is complete; --overwrite replaces it"):
        make_hot(out, "24", quiet=True)
    assert make_hot(out, "24", overwrite=True, quiet=True).bytes > first.bytes
    assert len(open_store(out).hot.channels) == 24  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="only be made in a store that is a local folder"):
        make_hot(f"file://{out}", "6")


@pytest.mark.parametrize("name", ["native", "int8"])
def test_an_interrupted_copy_goes_on(stores: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "SLOTS_PER_CHUNK", 4)
    out = tmp_path / "out.zarr"
    shutil.copytree(stores / f"{name}.zarr", out)
    shutil.rmtree(out / "hot")
    real = making._HotSplit.write
    written: list[tuple[str, int]] = []

    def counted(self: making._HotSplit, number: int) -> None:
        written.append((self.folder.name, number))
        real(self, number)

    def interrupted(self: making._HotSplit, number: int) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        counted(self, number)

    monkeypatch.setattr(making._HotSplit, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_hot(out, HELD, quiet=True)
    assert open_store(out).hot is None
    with pytest.raises(BuildError, match="unfinished build of other files or with other options"):
        make_hot(out, "6", quiet=True)
    monkeypatch.setattr(making._HotSplit, "write", counted)
    make_hot(out, HELD, quiet=True)
    assert len(written) == len(set(written)) == 8  # four chunks a split, each written once
    original = stores / f"{name}.zarr"
    expected = {p.relative_to(stores): p.read_bytes() for p in (original / "hot").rglob("*") if p.is_file()}
    found = {p: (out / p.relative_to(f"{name}.zarr")).read_bytes() for p in expected}
    assert found == expected


def test_mapped_files_are_not_held_open_and_are_unmapped(stores: Path) -> None:
    """An ImageNet's copy has thousands of files; a process often may have a thousand descriptors."""
    store = stores / "native.zarr"
    split = open_store(store)["train"]
    split.read([split.slots[0]], HELD)
    before = len(list(Path("/proc/self/fd").iterdir()))
    split.read(split.slots, HELD)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert f"{store}/hot/train/y/c/3" in Path("/proc/self/maps").read_text()
    del split
    gc.collect()
    assert f"{store}/hot/train/y/c/3" not in Path("/proc/self/maps").read_text()


def test_a_dataset_reads_the_copy_and_can_be_pickled(stores: Path) -> None:
    mask = ChannelMask.from_indices([0, 64])
    dataset = freqcache.FrequencyDataset(stores / "int8.zarr", channels=mask, threads=2)
    first = dataset.read([5, 2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset)).read([5, 2]), first)

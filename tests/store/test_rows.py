"""Per-sample arrays of a split that is longer than their chunks: what is read of them when, and that it is right."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from benchmarks.large_store import make_large_store
from hypothesis import given, settings
from hypothesis import strategies as st
from photographs import encoded

import freqcache
from freqcache import FrequencyBatchSampler, FrequencyLoader
from freqcache.building.arrays import write_array
from freqcache.errors import StoreError
from freqcache.store.packing import Narrow, Plain, Table, pack
from freqcache.store.places import LocalPlace
from freqcache.store.targets import LocalTarget

SLOTS, CHUNK = 140_000, 65_536
MASK = freqcache.ChannelMask.preset("6")
READ = {"native": ("label", "offset", "blocks", "quantization", "sampling", "width", "height"), "fixed": ("label",)}
KINDS = pytest.mark.parametrize("kind", list(READ))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small store of each kind and a large one of its shard over and over."""
    folder = tmp_path_factory.mktemp("large")
    for i in range(40):
        path = folder / "photos" / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(i, 24 + i % 17, 24 + i % 13, quality=60 + i, subsampling=2 * (i % 2)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ROW_GROUP_BLOCKS", 100), ("SHARD_SAMPLES", 32)):
            patch.setattr(f"freqcache.building.plan.{name}", value)
        for kind, size in (("native", None), ("fixed", 16)):
            options = freqcache.BuildOptions(size=size)
            freqcache.build(folder / "photos", folder / f"{kind}-small.zarr", options, workers=1, quiet=True)
            make_large_store(folder / f"{kind}-small.zarr", folder / f"{kind}.zarr", SLOTS)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read of per-sample and other small arrays, as it is read."""
    found: list[str] = []
    read = LocalPlace.read

    def counted(self: LocalPlace, key: str) -> bytes:
        found.append(f"{self.path.name}/{key}" if "/" not in key else key)
        return read(self, key)

    monkeypatch.setattr(LocalPlace, "read", counted)
    return found


def chunks(reads: list[str]) -> set[tuple[str, int]]:
    """Return the chunks among what was read since the last look."""
    found = {(parts[0], int(parts[2])) for key in reads if (parts := key.split("/"))[1:2] == ["c"]}
    reads.clear()
    return found


def copied(store: Path, out: Path) -> None:
    """Copy a store, whose coefficients stay where they are."""
    arrays = {"y", "cb", "cr", "coefficients"}
    shutil.copytree(store, out, ignore=lambda _, names: arrays & set(names))
    for name in arrays:
        if (store / "all" / name).exists():
            (out / "all" / name).symlink_to(store / "all" / name)


def split_of(path: Path) -> Any:
    store = freqcache.open(path)
    return store[store.splits[0]]


@KINDS
def test_what_is_read_of_a_large_split(stores: Path, kind: str, reads: list[str]) -> None:
    split = split_of(stores / f"{kind}.zarr")
    split.open()
    assert not {name for name, _ in chunks(reads)} & {*READ[kind], "origin", "source_path"}
    split.read([CHUNK, 2 * CHUNK - 1, CHUNK + 5], MASK)
    assert chunks(reads) == {(name, 1) for name in READ[kind]}
    split.read([CHUNK + 9], MASK)
    assert not reads
    split.read([5, 2 * CHUNK], MASK)
    assert chunks(reads) == {(name, n) for name in READ[kind] for n in (0, 2)}
    split.source_path(CHUNK + 1)
    assert {number for name, number in chunks(reads) if name == "source_path_offset"} == {1}


@KINDS
def test_rows_are_those_of_zarr(stores: Path, kind: str) -> None:
    split, group = split_of(stores / f"{kind}.zarr"), zarr.open_group(stores / f"{kind}.zarr", mode="r")["all"]
    assert len(split) == split.metadata.slots >= SLOTS
    assert split.labels.shape == split.slots.shape == split.row_groups.shape == (len(split),)
    some = np.random.default_rng(0).integers(0, len(split), 500)
    names = [*READ[kind], "origin", "source_digest", "source_bytes"]
    for _ in range(2):
        found = split.take(names, some)
        for name in names:
            expected = np.asarray(group[name][...])[some]
            assert found[name].dtype == expected.dtype
            np.testing.assert_array_equal(found[name], expected)
    blob, ends = np.asarray(group["source_path"][...]), np.asarray(group["source_path_offset"][...])
    for slot in [0, len(split) - 1, *some[:20].tolist()]:
        assert split.source_path(slot) == blob[ends[slot] : ends[slot + 1]].tobytes().decode()
    small = split_of(stores / f"{kind}-small.zarr")
    geometry = next(iter(small.coefficient_arrays.values())).geometry
    period = int(small.values("row_group_start")[geometry.groups_per_shard])
    for a, b in zip(split.read(some[:40], MASK), small.read(some[:40] % period, MASK), strict=True):
        pairs = [(a, b)] if kind == "fixed" else zip(a.coefficients, b.coefficients, strict=True)
        for x, y in pairs:
            np.testing.assert_array_equal(x, y)


def test_what_is_kept_is_bounded(stores: Path, reads: list[str]) -> None:
    split = split_of(stores / "native.zarr")
    some = np.arange(0, len(split), 999)
    expected = split.take(READ["native"], some)
    everything = split._by_row.nbytes
    assert everything < len(split) * 60  # of 466 bytes a sample
    split = pickle.loads(pickle.dumps(split))
    assert split._by_row.nbytes == 0
    split._by_row._limit = everything // 2
    for _ in range(2):
        found = split.take(READ["native"], some)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
        assert split._by_row.nbytes <= everything // 2
    split.take(["height"], some[-1:])
    chunks(reads)
    split.take(["height"], some[-1:])  # used last: still there
    assert not reads


def test_another_store_in_its_place_is_noticed(stores: Path, tmp_path: Path) -> None:
    copied(stores / "native.zarr", tmp_path / "s.zarr")
    root = tmp_path / "s.zarr" / "zarr.json"
    split = split_of(tmp_path / "s.zarr")
    split.read([5], MASK)
    document = json.loads(root.read_text())
    document["attributes"]["freqcache"]["id"] = "0" * 32
    root.write_text(json.dumps(document))
    split.read([6], MASK)
    for _ in range(2):
        with pytest.raises(StoreError, match="replaced by the store 0000"):
            split.read([CHUNK], MASK)


@pytest.mark.parametrize("name", ["label", "quantization"])
def test_a_chunk_that_is_missing_or_damaged_is_named_when_it_is_needed(stores: Path, tmp_path: Path, name: str) -> None:
    copied(stores / "native.zarr", tmp_path / "s.zarr")
    chunk = tmp_path / "s.zarr/all" / name / ("c/1" if name == "label" else "c/1/0/0")
    data = bytearray(chunk.read_bytes())
    chunk.unlink()
    split = split_of(tmp_path / "s.zarr")
    split.read([5, 2 * CHUNK], MASK)
    with pytest.raises(StoreError, match=f"all/{name}/c/1.*cannot be read"):
        split.read([5, CHUNK], MASK)
    data[20] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(StoreError, match=f"all/{name}/c/1.*CRC-32C"):
        split.read([CHUNK], MASK)


@KINDS
def test_datasets_and_loaders_read_what_they_need(stores: Path, kind: str, reads: list[str]) -> None:
    dataset = freqcache.FrequencyDataset(stores / f"{kind}.zarr", split="all", channels="6")
    assert not {name for name, _ in chunks(reads)} & {*READ[kind], "origin", "row_group_start"}
    some = np.arange(CHUNK, CHUNK + 64)
    loader = FrequencyLoader(dataset, 8, shuffle=True, access="groups", prefetch=0, indices=some)
    _, labels = next(iter(loader))
    assert {number for name, number in chunks(reads) if name in READ[kind]} == {1}
    sampler = FrequencyBatchSampler(dataset, 8, shuffle=True)
    batch = next(iter(sampler))
    assert all(type(item) is int for item in batch)
    state = sampler.state_dict()
    assert state["samples"] == len(dataset)
    assert dataset.labels_of(batch).tolist() == dataset.labels[batch].tolist()
    assert len(labels) == 8


def test_the_auto_way_is_chosen_without_looking_at_every_sample(
    stores: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = freqcache.FrequencyDataset(stores / "native.zarr", split="all", channels="6")
    whole = dataset.n_bytes(np.arange(len(dataset)))
    blocks = zarr.open_array(stores / "native.zarr/all/blocks", mode="r")[...].astype(int).prod(axis=2)
    assert whole == (blocks * [len(f) for f in MASK.frequencies]).sum() * 2
    for limit, access in ((whole, "memory"), (whole - 1, "groups"), (1000, "groups")):
        monkeypatch.setattr("freqcache.loading.loader.IN_MEMORY_BYTES", limit)
        assert FrequencyLoader(dataset, 8, shuffle=True).access == access
    fresh = freqcache.FrequencyDataset(stores / "native.zarr", split="all", channels="6")
    chunks(reads)
    FrequencyLoader(fresh, 8, shuffle=True)
    assert chunks(reads) == {("blocks", 0), ("label", 0)}


def test_absent_slots_among_many(stores: Path, tmp_path: Path) -> None:
    copied(stores / "fixed.zarr", tmp_path / "s.zarr")
    folder = tmp_path / "s.zarr" / "all"
    slots = split_of(tmp_path / "s.zarr").metadata.slots
    absent = np.array([0, 1, 7, CHUNK - 1, CHUNK, slots - 1])
    labels, origin = np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.uint8)
    labels[absent], origin[absent] = -1, 255
    for name, values in (("label", labels), ("origin", origin)):
        shutil.rmtree(folder / name)
        write_array(LocalTarget(folder / name), values, ("sample",))
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["freqcache"]["samples"] = slots - len(absent)
    (folder / "zarr.json").write_text(json.dumps(document))
    split = split_of(tmp_path / "s.zarr")
    expected = np.setdiff1d(np.arange(slots), absent)
    np.testing.assert_array_equal(split.absent, absent)
    np.testing.assert_array_equal(split.slots_of(np.arange(len(expected))), expected)
    np.testing.assert_array_equal(split.slots, expected)
    dataset = freqcache.FrequencyDataset(tmp_path / "s.zarr", split="all", channels="6")
    np.testing.assert_array_equal(dataset.slots, expected)
    np.testing.assert_array_equal(dataset.row_groups, expected // 16)
    with pytest.raises(StoreError, match=f"slot {CHUNK} is absent"):
        split.read([3, CHUNK], MASK)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["uint8", "uint16", "int32", "int64"]),
    st.sampled_from([1, 3, 6, 64]),
    st.sampled_from([1, 4096, 4097, 9000]),
    st.sampled_from([1, 2, 200, 300, 1100, 10**6]),
    st.sampled_from([1, 255, 256, 65_535, 2**32, 2**64]),
    st.integers(0, 2**32),
)
def test_packed_rows_are_the_rows(dtype: str, width: int, n: int, different: int, spread: int, seed: int) -> None:
    generator, limits = np.random.default_rng(seed), np.iinfo(dtype)
    low = int(generator.integers(limits.min, limits.max, dtype=dtype))
    high = min(low + spread, int(limits.max))
    table = generator.integers(low, high, (min(different, n), width), dtype=dtype, endpoint=True)
    rows = table[generator.integers(0, len(table), n)]
    packed = pack(rows)
    some = generator.integers(0, n, 50)
    assert packed.take(some).dtype == rows.dtype
    np.testing.assert_array_equal(packed.take(some), rows[some])
    np.testing.assert_array_equal(packed.take(np.arange(n)), rows)
    assert packed.nbytes <= rows.nbytes


def test_forms_are_chosen_by_their_size() -> None:
    numbers = np.random.default_rng(0).integers(0, 1000, 9000)
    tables = np.random.default_rng(1).integers(0, 2**16, (1000, 64), dtype=np.uint16)
    assert isinstance(pack(tables[numbers]), Table)
    assert isinstance(pack(numbers + 2**50), Narrow)
    assert isinstance(pack(numbers[:100]), Plain)
    assert isinstance(pack(np.random.default_rng(2).integers(0, 2**16, (9000, 64), dtype=np.uint16)), Plain)
    assert pack(tables[numbers]).nbytes < tables.nbytes + 2 * len(numbers) + 1

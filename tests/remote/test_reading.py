"""Stores in a real S3 server, through a proxy that counts and fails."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from remote.proxy import Proxy
from torch.utils.data import DataLoader

import freqcache
from freqcache.errors import StoreError
from freqcache.remote import retrying
from freqcache_formats import ChannelMask

MASK = ChannelMask.preset("24")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every retry comes at once: here, and in the library of the object store."""
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(retrying.retrying, "__kwdefaults__", retrying.retrying.__kwdefaults__ | {"first_wait": 0.0})


def once(fault: str, where: str) -> object:
    """Return a rule by which the first request for each such object fails."""
    seen: set[str] = set()

    def rule(method: str, path: str) -> str | None:
        if method != "GET" or where not in path or path in seen:
            return None
        seen.add(path)
        return fault

    return rule


@pytest.mark.parametrize("name", ["native", "fixed"])
def test_the_same_is_read(name: str, local: Path, uploaded: str) -> None:
    here, there = freqcache.open(local / f"{name}.zarr"), freqcache.open(f"{uploaded}/{name}.zarr")
    assert (there.id, there.classes, there.splits, there.location) == (
        here.id, here.classes, here.splits, f"{uploaded}/{name}.zarr"
    )  # fmt: skip
    for split in here.splits:
        slots = here[split].slots[::-1]
        expected, found = here[split].read(slots, MASK), there[split].read(slots, MASK, threads=3)
        if name == "fixed":
            np.testing.assert_array_equal(found, expected)
        for a, b in zip(expected, found, strict=True) if name == "native" else ():
            for x, y in zip(a.coefficients, b.coefficients, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["native", "fixed"])
def test_only_masked_chunks_and_indexes_are_fetched(name: str, local: Path, uploaded: str, s3: Proxy) -> None:
    split = freqcache.open(f"{uploaded}/{name}.zarr")["train"]
    split.open()
    slots, arrays = split.slots, ("/y/c", "/cb/c", "/cr/c", "/coefficients/c")
    s3.traffic.clear()
    split.read(slots, MASK)
    assert all(any(array in path for array in arrays) for _, path, _ in s3.traffic.requests)
    # No request for a whole shard, none for its length.
    assert all((method, header[:6]) == ("GET", "bytes=") for method, _, header in s3.traffic.requests)
    arrays_read = [reader.geometry for reader in split.coefficient_arrays.values()]
    indexes = sum(geometry.n_shards * (geometry.chunks_per_shard * 16 + 20) for geometry in arrays_read)
    masked = int(split.channel_bytes()[MASK.indices].sum())
    # What lies between wanted chunks and is too short for a request of its own is fetched too: small, in a small store.
    assert masked + indexes <= s3.traffic.bytes_sent <= masked + indexes + 32_768 * len(s3.traffic.requests)


@pytest.mark.parametrize("name", ["native", "fixed"])
def test_opening_asks_for_each_small_file_once(name: str, uploaded: str, s3: Proxy) -> None:
    s3.traffic.clear()
    split = freqcache.open(f"{uploaded}/{name}.zarr")["train"]
    split.open()
    asked = [(method, path.partition("?")[0]) for method, path, _ in s3.traffic.requests]
    assert len(set(asked)) == len(asked)
    assert {method for method, _ in asked} == {"GET"}
    s3.traffic.clear()
    split.take(["label"], split.slots_of(np.arange(len(split))))  # known since then
    assert len(split) == split.metadata.slots
    assert not s3.traffic.requests


@pytest.mark.parametrize("fault", ["throttle", "error", "reset", "cut"])
def test_a_request_that_fails_is_made_again(fault: str, local: Path, uploaded: str, s3: Proxy) -> None:
    expected = freqcache.open(local / "fixed.zarr")["train"].read([0, 1], MASK)
    s3.fault = once(fault, "/c/")  # type: ignore[assignment]
    found = freqcache.open(f"{uploaded}/fixed.zarr")["train"].read([0, 1], MASK)
    np.testing.assert_array_equal(found, expected)
    assert s3.traffic.faults


@pytest.mark.parametrize("fault", ["throttle", "error", "reset", "cut"])
def test_a_server_that_keeps_failing_is_one_message(
    fault: str, uploaded: str, s3: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # its own waits cannot be shortened
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    split = freqcache.open(f"{uploaded}/fixed.zarr")["train"]
    s3.fault = lambda method, path: fault if "coefficients/c/" in path else None
    s3.traffic.clear()
    with pytest.raises(
        StoreError, match=r"fixed.zarr/train/coefficients/c/0/0/0/0: cannot be read: .*after 2 attempts"
    ):
        split.read([0], MASK)
    assert 2 <= s3.traffic.faults <= 4  # a connection that is reset is tried again once more below
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_missing_object_is_one_message_at_once(local: Path, uploaded: str, s3: Proxy) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    system.copy(f"{uploaded}/fixed.zarr", f"{uploaded}/hurt.zarr", recursive=True)
    system.rm(f"{uploaded}/hurt.zarr/train/coefficients/c/0/0/0/0")
    split = freqcache.open(f"{uploaded}/hurt.zarr")["train"]
    split.open()
    s3.traffic.clear()
    with pytest.raises(StoreError, match=r"hurt.zarr/train/coefficients/c/0/0/0/0: cannot be read: no such object"):
        split.read([0], MASK)
    assert sum("coefficients/c" in path for _, path, _ in s3.traffic.requests) == 1


def test_what_is_no_store_is_one_message(uploaded: str) -> None:
    with pytest.raises(StoreError, match=r"nothing.zarr: not a freqcache store .*no such object"):
        freqcache.open(f"{uploaded}/nothing.zarr")
    with pytest.raises(StoreError, match=r"nowhere://x: cannot be opened: .*nowhere"):
        freqcache.open("nowhere://x")


def test_datasets_are_read_by_processes(local: Path, uploaded: str) -> None:
    expected = freqcache.FrequencyDataset(local / "fixed.zarr", channels="24")
    dataset = freqcache.FrequencyDataset(f"{uploaded}/fixed.zarr", channels="24")
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.read([3, 0]), expected.read([3, 0]))
    everything = torch.from_numpy(np.asarray(expected.read(range(len(expected)))))
    dataset.read([0])  # connections are open when the workers are forked
    for context in ("fork", "spawn"):
        loader = DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context=context)
        assert torch.equal(torch.cat([x for x, _ in loader]), everything)


def test_what_was_fetched_is_kept(uploaded: str, local: Path, s3: Proxy, tmp_path: Path) -> None:
    expected = freqcache.open(local / "native.zarr")["train"]
    everything = expected.read(expected.slots, MASK)
    for _ in range(2):
        split = freqcache.open(f"{uploaded}/native.zarr", cache=tmp_path / "cache")["train"]
        split.open()
        s3.traffic.clear()
        for a, b in zip(everything, split.read(split.slots, MASK), strict=True):
            for x, y in zip(a.coefficients, b.coefficients, strict=True):
                np.testing.assert_array_equal(x, y)
    assert not s3.traffic.requests
    for entry in (tmp_path / "cache").rglob("*"):
        if entry.is_file() and len(entry.name) == 32:
            content = bytearray(entry.read_bytes())
            content[len(content) // 2] ^= 1
            entry.write_bytes(content)
    split = freqcache.open(f"{uploaded}/native.zarr", cache=tmp_path / "cache")["train"]
    split.read(split.slots, MASK)  # fetched again: a damaged entry is no entry
    assert s3.traffic.requests


def test_a_cache_is_for_urls(local: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a cache is for stores at a URL"):
        freqcache.open(local / "fixed.zarr", cache=tmp_path / "cache")
    with pytest.raises(StoreError, match="storage_options are for stores at a URL"):
        freqcache.open(local / "fixed.zarr", storage_options={"anon": True})

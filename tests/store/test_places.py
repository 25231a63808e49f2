"""Stores that are not local folders: a zip file, memory, a URL; the same values, and the same errors for damage."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from photographs import write_tree
from torch.utils.data import DataLoader

import freqcache
from freqcache.errors import StoreError
from freqcache.store import Store, open_store
from freqcache.store.zarr_places import OwnStore, open_zip_store
from freqcache_formats import ChannelMask

MASK = ChannelMask.preset("24")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    write_tree(folder / "photos")
    for name, size in (("native", None), ("fixed", 48)):
        options = freqcache.BuildOptions(size=size)
        freqcache.build(folder / "photos", folder / f"{name}.zarr", options, workers=1, quiet=True)
        shutil.make_archive(str(folder / f"{name}.zarr"), "zip", folder / f"{name}.zarr")
    return folder


def in_memory(folder: Path) -> zarr.storage.MemoryStore:
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return zarr.storage.MemoryStore({k: zarr.core.buffer.cpu.Buffer.from_bytes(v) for k, v in files.items()})


def opened(stores: Path, name: str, where: str) -> Store:
    folder = stores / f"{name}.zarr"
    if where == "memory":
        return open_store(in_memory(folder))
    return open_store(folder.with_name(f"{name}.zarr.zip") if where == "zip" else f"file://{folder}")


@pytest.mark.parametrize("where", ["zip", "memory", "url"])
@pytest.mark.parametrize("name", ["native", "fixed"])
def test_the_same_is_read_from_anywhere(stores: Path, name: str, where: str) -> None:
    local, other = open_store(stores / f"{name}.zarr"), opened(stores, name, where)
    assert (other.id, other.classes, other.splits) == (local.id, local.classes, local.splits)
    for split in local.splits:
        slots = local[split].slots[::-1]
        expected, found = local[split].read(slots, MASK), other[split].read(slots, MASK, threads=2)
        if name == "fixed":
            np.testing.assert_array_equal(found, expected)
        for a, b in zip(expected, found, strict=True) if name == "native" else ():
            for x, y in zip(a.coefficients, b.coefficients, strict=True):
                np.testing.assert_array_equal(x, y)


def test_a_dataset_of_a_zip_file_can_be_pickled(stores: Path) -> None:
    dataset = freqcache.FrequencyDataset(stores / "fixed.zarr.zip", channels="6")
    assert dataset.cache_path == f"zip://{stores / 'fixed.zarr.zip'}"
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.read([3, 0]), dataset.read([3, 0]))


def test_forked_readers_of_a_zip_file_do_not_disturb_each_other(stores: Path) -> None:
    dataset = freqcache.FrequencyDataset(stores / "fixed.zarr.zip", channels="24")
    expected = dataset.read(range(len(dataset)))
    sampler = list(range(len(dataset))) * 10
    loader = DataLoader(dataset, batch_size=1, sampler=sampler, num_workers=2, multiprocessing_context="fork")
    np.testing.assert_array_equal(torch.cat([coefficients for coefficients, _ in loader]), expected[sampler])
    store = OwnStore(open_zip_store(str(stores / "fixed.zarr.zip")))
    parents = store.get()
    assert store.get() is parents
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 0)
        assert store.get()._zf.fp is not parents._zf.fp  # type: ignore[attr-defined]


def test_damage_is_noticed_there_too(stores: Path) -> None:
    memory = in_memory(stores / "native.zarr")
    key = "train/y/c/0/0"
    content = bytearray(memory._store_dict[key].to_bytes())
    content[40] ^= 1
    buffer = zarr.core.buffer.cpu.Buffer
    memory._store_dict[key] = buffer.from_bytes(bytes(content))
    split = open_store(memory)["train"]
    with pytest.raises(StoreError, match=r"train/y/c/0/0: chunk of channel 0, row group 0: CRC-32C .* \(needed for"):
        split.read([0], MASK)
    memory._store_dict[key] = buffer.from_bytes(bytes(content[:-1]))
    with pytest.raises(StoreError, match=r"train/y/c/0/0: the shard's index fails its checksum"):
        open_store(memory)["train"].read([0], MASK)
    del memory._store_dict[key]
    with pytest.raises(StoreError, match=r"train/y/c/0/0: cannot be opened"):
        open_store(memory)["train"].read([0], MASK)
    del memory._store_dict["train/label/c/0"]
    with pytest.raises(StoreError, match=r"train/label/c/0: cannot be read: no such file"):
        open_store(memory)["train"].read([0], MASK)


def test_a_damaged_zip_file_is_one_message(stores: Path, tmp_path: Path) -> None:
    content = (stores / "fixed.zarr.zip").read_bytes()
    with zipfile.ZipFile(stores / "fixed.zarr.zip") as archive:
        place = archive.getinfo("train/label/c/0").header_offset
    for position in (0, 60):  # the signature of the entry, its content
        hurt = bytearray(content)
        hurt[place + position] ^= 1
        (tmp_path / "hurt.zip").write_bytes(hurt)
        with pytest.raises(StoreError, match=r"hurt.zip/train/label/c/0: "):
            _ = open_store(tmp_path / "hurt.zip")["train"].labels


def test_what_is_no_store_is_one_message(stores: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(
        StoreError, match=r"text.zip: neither a store's folder nor a zip file of one: File is not a zip file"
    ):
        open_store(tmp_path / "text.zip")
    shutil.make_archive(str(tmp_path / "wrapped"), "zip", stores, "fixed.zarr")
    with pytest.raises(StoreError, match=r"wrapped.zip: not a freqcache store"):
        open_store(tmp_path / "wrapped.zip")
    with pytest.raises(StoreError, match=r"nothing://here: cannot be opened"):
        open_store("nothing://here")
    with pytest.raises(StoreError, match="not a freqcache store"):
        open_store(f"file://{tmp_path}/gone.zarr")

"""Bad input to a loader: arguments out of range, stores that change while they are read. One clear error each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from visiting import KINDS, build_stores, contents, flat, visits

from freqcache import FrequencyBatchSampler, FrequencyDataset, FrequencyLoader
from freqcache.errors import StoreError
from freqcache.store import FixedSplit, open_store

pytestmark = pytest.mark.usefixtures("small_portions")

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batch_size": 0}, ValueError, "batch_size: expected an integer of at least 1, found 0"),
    ({"batch_size": 2.5}, ValueError, r"batch_size: expected an integer of at least 1, found 2\.5"),
    ({"batch_size": "4"}, ValueError, "batch_size: expected an integer of at least 1, found '4'"),
    ({"seed": -1}, ValueError, "seed: expected an integer of at least 0, found -1"),
    ({"window": 0}, ValueError, "window: expected an integer of at least 1, found 0"),
    ({"lanes": 0}, ValueError, "lanes: expected an integer of at least 1, found 0"),
    ({"lanes": -2}, ValueError, "lanes: expected an integer of at least 1, found -2"),
    ({"world_size": 0}, ValueError, "world_size: expected an integer of at least 1, found 0"),
    ({"rank": -1, "world_size": 2}, ValueError, "rank: expected an integer of at least 0, found -1"),
    ({"rank": 2, "world_size": 2}, ValueError, "rank: expected 0 to 1, found 2"),
    ({"rank": 1}, ValueError, "rank: expected 0 to 0, found 1"),
    ({"indices": []}, ValueError, "no samples: split 'all' has 28, and none are chosen"),
    ({"indices": np.zeros(0, dtype=np.int64)}, ValueError, "no samples"),
    ({"indices": [0, 28]}, IndexError, "index 28 is outside the 28 samples of split 'all'"),
    ({"indices": [-1, 3]}, IndexError, "index -1 is outside the 28 samples"),
    ({"indices": np.array([2**63 + 1], dtype=np.uint64)}, IndexError, "is outside the 28 samples"),
    ({"indices": [0.5, 1.0]}, ValueError, "indices: expected a list of integers, found float64 of shape"),
    ({"indices": np.ones(28, dtype=bool)}, ValueError, "indices: expected a list of integers, found bool"),
    ({"indices": [[0, 1]]}, ValueError, "indices: expected a list of integers, found int64 of shape"),
    ({"indices": 3}, ValueError, "indices: expected a list of integers, found int64 of shape"),
    ({"indices": [1, 2], "world_size": 3}, ValueError, "2 samples are too few for 3 ranks"),
    ({"drop_last": True, "world_size": 10}, ValueError, "28 samples are too few for 10 ranks with batches of 3"),
    ({"drop_last": True, "batch_size": 29}, ValueError, "28 samples are too few for 1 ranks with batches of 29"),
]
LOADER_ONLY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"prefetch": -1}, ValueError, "prefetch: expected an integer of at least 0, found -1"),
    ({"prefetch": 1.5}, ValueError, r"prefetch: expected an integer of at least 0, found 1\.5"),
    ({"access": "quick"}, ValueError, "access: expected one of auto, memory, groups, random, found 'quick'"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG, ids=[str(case[0]) for case in WRONG])
@pytest.mark.parametrize("what", [FrequencyLoader, FrequencyBatchSampler])
def test_an_argument_out_of_range_is_refused(
    small: dict[str, FrequencyDataset], what: Callable[..., Any], wrong: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        what(small["fixed"], **({"batch_size": 3, "shuffle": True} | wrong))


@pytest.mark.parametrize(("wrong", "kind", "message"), LOADER_ONLY, ids=[str(case[0]) for case in LOADER_ONLY])
def test_an_argument_of_reading_out_of_range_is_refused(
    small: dict[str, FrequencyDataset], wrong: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        FrequencyLoader(small["fixed"], 3, shuffle=True, **wrong)


@pytest.mark.parametrize("epoch", [-1, 0.5, None])
def test_what_is_no_epoch_is_refused(small: dict[str, FrequencyDataset], epoch: Any) -> None:
    with pytest.raises(ValueError, match="epoch: expected an integer of at least 0"):
        FrequencyLoader(small["fixed"], 3, shuffle=True).set_epoch(epoch)


def test_an_evaluation_may_leave_a_rank_without_samples(small: dict[str, FrequencyDataset]) -> None:
    found = [
        visits(
            small["fixed"],
            FrequencyLoader(small["fixed"], 3, shuffle=False, indices=np.array([4, 2]), rank=rank, world_size=3),
        )
        for rank in range(3)
    ]
    assert sorted(map(flat, found)) == [[], [2], [4]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_without_cuda_is_refused(small: dict[str, FrequencyDataset]) -> None:
    for device in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(ValueError, match=r"device: cuda.* is not here: no CUDA device was found"):
            FrequencyLoader(small["fixed"], 3, shuffle=True, device=device)


def opened(store: Path, **options: Any) -> FrequencyDataset:
    return FrequencyDataset(store, split="all", channels="24", **options)


def read_until_error(loader: FrequencyLoader, change: Callable[[], Any], after: int = 1) -> tuple[list[Any], str]:
    """Change the store after some batches; return the batches that came and the error's message."""
    batches = iter(loader)
    found = list(islice(batches, after))
    change()
    with pytest.raises(StoreError) as caught:
        found.extend(batches)
    with pytest.raises(StopIteration):
        next(batches)
    return found, str(caught.value)


def first_chunks(store: Path, array: str) -> list[tuple[Path, int, int, int]]:
    """Shard, offset and length of the lowest frequency of each row group of an array, and the row group."""
    split = open_store(store)["all"]
    reader = split._reader if isinstance(split, FixedSplit) else split._readers[("y", "cb", "cr").index(array)]
    geometry, places = reader.geometry, []
    for group in range(geometry.n_groups):
        shard, inside = divmod(group, geometry.groups_per_shard)
        path = store / "all" / array / geometry.shard_key(shard)
        data = path.read_bytes()
        index = np.frombuffer(data[-4 - 16 * geometry.chunks_per_shard : -4], dtype="<u8").reshape(-1, 2)
        (number,) = geometry.inner_index(inside, np.array([0]))
        places.append((path, *map(int, index[number]), group))
    return places


ARRAYS = [("fixed", "coefficients"), ("native", "y"), ("native", "cr")]


@pytest.mark.parametrize(("kind", "array"), ARRAYS)
@pytest.mark.parametrize("access", ["memory", "groups", "random"])
@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_flipped_byte_is_named(
    small_stores: Path, tmp_path: Path, kind: str, array: str, access: Any, prefetch: int, threads: int
) -> None:
    store = shutil.copytree(small_stores / f"{kind}.zarr", tmp_path / f"{kind}.zarr")
    dataset = opened(store, threads=threads)
    loader = FrequencyLoader(dataset, 3, shuffle=True, access=access, window=8, prefetch=prefetch)
    expected = [
        contents(coefficients)
        for coefficients, _ in FrequencyLoader(
            opened(small_stores / f"{kind}.zarr"), 3, shuffle=True, access=access, window=8
        )
    ]
    path, offset, length, group = first_chunks(store, array)[2]
    data = bytearray(path.read_bytes())
    data[offset + length // 2] ^= 4
    path.write_bytes(data)
    found, message = read_until_error(loader, lambda: None, after=0)
    assert [contents(coefficients) for coefficients, _ in found] == expected[: len(found)]
    assert str(path) in message
    assert f"row group {group}" in message
    assert "slot" in message
    # A damage that is repaired is forgotten.
    path.write_bytes(
        bytes(data[: offset + length // 2])
        + bytes([data[offset + length // 2] ^ 4])
        + bytes(data[offset + length // 2 + 1 :])
    )
    assert [contents(coefficients) for coefficients, _ in loader] == expected


@pytest.mark.parametrize(("kind", "array"), ARRAYS)
@pytest.mark.parametrize("prefetch", [0, 2])
def test_shards_cut_in_the_middle_of_an_epoch_are_named(
    small_stores: Path, tmp_path: Path, kind: str, array: str, prefetch: int
) -> None:
    store = shutil.copytree(small_stores / f"{kind}.zarr", tmp_path / f"{kind}.zarr")
    loader = FrequencyLoader(opened(store), 1, shuffle=False, access="random", prefetch=prefetch)
    shards = sorted({path for path, *_ in first_chunks(store, array)})

    def cut() -> None:
        for path in shards:
            os.truncate(path, 50)

    found, message = read_until_error(loader, cut)
    assert any(str(path) in message for path in shards)
    known = FrequencyLoader(opened(small_stores / f"{kind}.zarr"), 1, shuffle=False)
    pairs = zip(found, known, strict=False)
    assert all(contents(one[0]) == contents(other[0]) for one, other in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("access", ["groups", "random"])
@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("after", [0, 1])
def test_a_store_replaced_under_a_loader_is_never_mixed(
    small_stores: Path, tmp_path: Path, kind: str, access: Any, prefetch: int, after: int
) -> None:
    store = shutil.copytree(small_stores / f"{kind}.zarr", tmp_path / "used.zarr")
    other = build_stores(tmp_path / "other", per_class=15) / f"{kind}.zarr"

    def replace() -> None:
        store.rename(tmp_path / "old.zarr")
        other.rename(store)

    loader = FrequencyLoader(opened(store), 1, shuffle=True, seed=1, access=access, window=8, prefetch=prefetch)
    found, message = read_until_error(loader, replace, after)
    assert str(store) in message
    assert len(found) < 28
    known = FrequencyLoader(opened(small_stores / f"{kind}.zarr"), 1, shuffle=True, seed=1, access=access, window=8)
    assert all(contents(one[0]) == contents(two[0]) for one, two in zip(found, known, strict=False))


def test_a_store_in_memory_survives_its_folder(small_stores: Path, tmp_path: Path) -> None:
    store = shutil.copytree(small_stores / "fixed.zarr", tmp_path / "used.zarr")
    dataset = opened(store)
    loader = FrequencyLoader(dataset, 3, shuffle=True, access="memory")
    first = [contents(coefficients) for coefficients, _ in loader]
    shutil.rmtree(store)
    loader.set_epoch(0)
    assert [contents(coefficients) for coefficients, _ in loader] == first

"""What a mask costs to fetch: bytes that pass, requests, and what the cache folder saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from remote.proxy import Proxy
from remote.server import BUCKET

import freqcache
from freqcache.building import plan
from freqcache.demo import photographs
from freqcache.errors import StoreError
from freqcache.remote.settings import CACHE_DIR, CACHE_SIZE
from freqcache.store import columns
from freqcache_formats import ChannelMask

SCATTERED = ChannelMask.from_indices([0, 3, 9, 17, 40, 63, 64, 70, 90, 127, 128, 150, 191])


@pytest.fixture(scope="module")
def large(s3: Proxy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Photographs as the paper has them, 448 pixels: here, and the URL of the same."""
    import s3fs

    path = tmp_path_factory.mktemp("large") / "photos.zarr"
    freqcache.build(photographs(), path, freqcache.BuildOptions(size=448), workers=1, quiet=True)
    s3fs.S3FileSystem().put(f"{path}/", f"{BUCKET}/photos.zarr", recursive=True)
    return path, f"s3://{BUCKET}/photos.zarr"


def everything(url: str, mask: ChannelMask | str, **options: object) -> list[np.ndarray]:
    dataset = freqcache.FrequencyDataset(freqcache.open(url, **options), channels=mask)  # type: ignore[arg-type]
    loader = freqcache.FrequencyLoader(dataset, 16, shuffle=True, seed=0, access="groups")
    return [x.numpy() for x, _ in loader]


def ranges(s3: Proxy) -> list[int]:
    """Return the bytes of each range that was asked for."""
    bounds = [header.removeprefix("bytes=").split("-") for _, _, header in s3.traffic.requests if header]
    return [int(last) - int(first) + 1 for first, last in bounds]


@pytest.mark.parametrize(
    "mask", [ChannelMask.preset("24"), ChannelMask.preset("6"), SCATTERED], ids=["24", "6", "scattered"]
)
def test_an_epoch_costs_the_masked_bytes(mask: ChannelMask, large: tuple[Path, str], s3: Proxy) -> None:
    here = freqcache.open(large[0])["train"]
    s3.traffic.clear()
    found = everything(large[1], mask)
    geometry = here.coefficient_arrays["coefficients"].geometry
    indexes = geometry.n_shards * (16 + geometry.chunks_per_shard * 16 + 4)
    masked = here.stored_bytes(mask)
    assert masked + indexes <= sum(ranges(s3)) <= 1.05 * masked + indexes  # each row group once
    assert s3.traffic.bytes_sent - sum(ranges(s3)) < 80_000  # metadata and per-sample values of 110 photographs
    for a, b in zip(found, everything(str(large[0]), mask), strict=True):
        np.testing.assert_array_equal(a, b)


def test_neighbours_come_in_one_request(large: tuple[Path, str], s3: Proxy) -> None:
    split = freqcache.open(large[1])["train"]
    split.read([0], SCATTERED)
    s3.traffic.clear()
    split.read(range(16), ChannelMask.from_indices(range(24)))
    assert len(s3.traffic.requests) == 1
    s3.traffic.clear()
    split.read(range(16), SCATTERED)
    assert 1 < len(s3.traffic.requests) <= len(SCATTERED)


def test_a_second_epoch_transfers_nothing_but_the_root(large: tuple[Path, str], s3: Proxy, tmp_path: Path) -> None:
    first = everything(large[1], "24", cache=tmp_path / "kept")
    s3.traffic.clear()
    again = everything(large[1], "24", cache=tmp_path / "kept")
    assert {path for _, path, _ in s3.traffic.requests} == {f"/{BUCKET}/photos.zarr/zarr.json"}
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_indexes_are_fetched_once_however_many_shards_there_are(
    large: tuple[Path, str], s3: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    path = large[0].with_name("shards.zarr")
    with monkeypatch.context() as patch:
        patch.setattr(plan, "SHARD_SAMPLES", 16)
        freqcache.build(photographs(), path, freqcache.BuildOptions(size=64), workers=1, quiet=True)
    s3fs.S3FileSystem().put(f"{path}/", f"{BUCKET}/shards.zarr", recursive=True)
    monkeypatch.setattr(columns, "_OPEN_SHARDS", 2)
    split = freqcache.open(f"s3://{BUCKET}/shards.zarr")["train"]
    n_shards = split.coefficient_arrays["coefficients"].geometry.n_shards
    assert n_shards > 4
    split.read(split.slots[::16], ChannelMask.preset("6"), threads=4)
    s3.traffic.clear()
    split.stored_bytes(ChannelMask.preset("6"))
    assert not s3.traffic.requests


def test_the_environment_names_the_folder(
    large: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "kept"))
    monkeypatch.setenv(CACHE_SIZE, "1.5 MB")
    place = freqcache.open(large[1]).place
    assert place.cached.cache.size == 1_500_000  # type: ignore[union-attr]
    assert place.cached.cache.folder == tmp_path / "kept"  # type: ignore[union-attr]
    named = freqcache.open(large[1], cache=tmp_path / "other", cache_bytes=2_000_000).place
    assert (named.cached.cache.folder, named.cached.cache.size) == (tmp_path / "other", 2_000_000)  # type: ignore[union-attr]
    freqcache.open(large[0])  # a store on this machine has no use for it
    monkeypatch.setenv(CACHE_SIZE, "much")
    with pytest.raises(StoreError, match=r"FREQCACHE_CACHE_SIZE: 'much' is not a number of bytes"):
        freqcache.open(large[1])
    monkeypatch.setenv(CACHE_DIR, "")
    assert freqcache.open(large[1]).place.cached is None  # type: ignore[union-attr]

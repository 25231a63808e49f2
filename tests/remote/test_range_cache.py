"""The read-through cache: bounded, shared, and never trusted."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from freqcache.errors import StoreError
from freqcache.remote import RangeCache

SIZE = 1_000_000


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def entry(number: int) -> bytes:
    return bytes([number % 251]) * 40_000


def fill(cache: RangeCache, first: int) -> None:
    for number in range(first, first + 40):
        cache.put(str(number), entry(number))


def test_it_keeps_what_fits_and_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path / "c", SIZE)
    for number in range(60):
        cache.put(str(number), entry(number))
        assert cache.get("0", 40_000) == entry(0)  # used again and again: it stays
        assert bytes_of(tmp_path / "c") <= SIZE + 100
    assert cache.get("59", 40_000) == entry(59)
    assert cache.get("5", 40_000) is None
    assert cache.get("59", 39_999) is None
    cache.put("large", bytes(SIZE))
    assert cache.get("large", SIZE) is None


def test_processes_share_it(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path / "c", SIZE)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(fill, cache, first) for first in (0, 40, 20)]:
            future.result()
    assert 0.9 * SIZE < bytes_of(tmp_path / "c") <= SIZE + 100
    again = pickle.loads(pickle.dumps(cache))
    found = [n for n in range(80) if again.get(str(n), 40_000) is not None]
    assert all(again.get(str(n), 40_000) == entry(n) for n in found)
    assert not list((tmp_path / "c").rglob("*.partial"))


def test_many_folders_keep_to_their_shares(tmp_path: Path) -> None:
    cache = RangeCache(tmp_path / "c", 256_000_000)
    for number in range(40):
        cache.put(str(number), entry(number))
    assert len([path for path in (tmp_path / "c").iterdir() if path.is_dir()]) == 4
    assert all(cache.get(str(n), 40_000) == entry(n) for n in range(40))
    smaller = RangeCache(tmp_path / "c", SIZE)  # the same entries, with less room from now on
    assert smaller.get("7", 40_000) == entry(7)
    fill(smaller, 100)
    assert bytes_of(tmp_path / "c") <= SIZE + 100


def test_what_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"holds photo.jpg and is no cache"):
        RangeCache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(StoreError, match="cannot be used as a cache"):
        RangeCache(tmp_path / "photo.jpg")
    with pytest.raises(StoreError, match="expected at least 1000000"):
        RangeCache(tmp_path / "c", 10)


def test_a_disk_that_is_full_costs_only_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RangeCache(tmp_path / "c", SIZE)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        cache.put("1", entry(1))
    assert cache.get("1", 40_000) is None
    cache.put("1", entry(1))
    assert cache.get("1", 40_000) == entry(1)

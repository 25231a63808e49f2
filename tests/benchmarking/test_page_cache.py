"""Files leave the page cache when they are dropped, and it is said where they do not."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from freqcache.benchmarking import page_cache
from freqcache.benchmarking.page_cache import NotDroppedError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files on a disk that the page cache is for; a test on a file system in memory means nothing."""
    if not page_cache.can_drop():
        pytest.skip("this system cannot drop files")
    (tmp_path / "a").mkdir()
    for i in range(3):
        (tmp_path / "a" / str(i)).write_bytes(os.urandom(200_000))
    (tmp_path / "empty").touch()
    found = page_cache.files_below(tmp_path)
    try:
        page_cache.drop(found)
    except NotDroppedError as error:
        pytest.skip(f"{tmp_path} cannot be dropped: {error}")
    return found


def test_files_that_are_not_empty_are_found(files: list[Path]) -> None:
    assert [path.name for path in files] == ["0", "1", "2"]


def test_dropped_files_are_gone_and_read_files_are_there(files: list[Path]) -> None:
    content = [path.read_bytes() for path in files]
    assert page_cache.resident(files) == 1
    page_cache.drop(files)
    assert page_cache.resident(files) <= page_cache.MOST_LEFT
    page_cache.warm(files)
    assert page_cache.resident(files) == 1
    assert content == [path.read_bytes() for path in files]


def test_an_open_file_is_dropped_and_a_mapped_one_is_not(files: list[Path]) -> None:
    with files[0].open("rb") as file:
        file.read()
        page_cache.drop(files)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert len(mapped[:]) == 200_000
            with pytest.raises(NotDroppedError, match="stays in the page cache"):
                page_cache.drop(files)


def test_other_systems_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(NotDroppedError, match="only Linux"):
        page_cache.drop([])


def test_no_files_hold_nothing() -> None:
    assert page_cache.resident([]) == 0

"""One holder at a time, also where the one before removes the file, and its folder, that others wait for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from freqcache import locking
from freqcache.locking import lock_file


def test_one_at_a_time(tmp_path: Path) -> None:
    held = lock_file(tmp_path / "new" / "folder" / "lock")
    with pytest.raises(BlockingIOError):
        lock_file(tmp_path / "new" / "folder" / "lock")
    os.close(held)
    os.close(lock_file(tmp_path / "new" / "folder" / "lock"))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_its_holder_removed_is_not_locked(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second opens the file of the first, which goes before it is locked; a third must not hold another then."""
    path, real = tmp_path / "work" / "lock", locking.fcntl.flock
    first = lock_file(path)
    removed: list[Any] = []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(shutil.rmtree(path.parent) if what == "folder" else path.unlink())
            os.close(first)
        real(descriptor, how)

    monkeypatch.setattr(locking.fcntl, "flock", late)
    second = lock_file(path)
    assert removed
    assert os.path.samestat(os.fstat(second), path.stat())
    with pytest.raises(BlockingIOError):
        lock_file(path)
    os.close(second)


def test_what_goes_on_for_ever_ends(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "nowhere" / "lock")
    with pytest.raises(OSError, match="lock"):
        lock_file(tmp_path / "lock")


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    held = lock_file(tmp_path / "lock")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(BlockingIOError):
        lock_file(tmp_path / "lock")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(held)

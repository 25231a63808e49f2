"""A read-through cache on a local disk, of bounded size: ranges of files that were fetched once are not fetched again.

An entry is one range of one file, as it was asked for, with a CRC-32C at its end. Entries are spread over folders, each
of which has its share of the size and drops what was used longest ago; so a cache is shared by any number of processes
without a process that knows it whole. A damaged entry is no entry. What is cached belongs to a name (a store's ``id``,
which is a digest of its content), so a store that was replaced is never served from what it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import google_crc32c

from freqcache.errors import StoreError

DEFAULT_BYTES: Final = 50 * 1000**3
_SMALLEST: Final = 1_000_000
_MOST_FOLDERS: Final = 256
_FOLDER_BYTES: Final = 64_000_000
"""A folder's share that makes another folder worth while: large beside an entry, few enough entries to look through."""

_MARKER: Final = "freqcache-cache"
"""File that says that a folder is a cache, and over how many folders it spreads."""

_CRC_BYTES: Final = 4


class RangeCache:
    """A folder with ranges of remote files; picklable.

    Parameters
    ----------
    folder : path
        On a local disk; made if it is not there. Nothing but a cache may be in it.
    size : int
        Bytes that its entries may take together.

    Raises
    ------
    StoreError
        If the folder cannot be used or holds something else, or the size is less than a megabyte.
    """

    def __init__(self, folder: str | Path, size: int = DEFAULT_BYTES) -> None:
        if size < _SMALLEST:
            msg = f"cache of {size} bytes: expected at least {_SMALLEST}"
            raise StoreError(msg)
        self.folder = Path(folder).absolute()
        self.size = size
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._folders = _adopt(self.folder, min(_MOST_FOLDERS, max(1, size // _FOLDER_BYTES)))
        except OSError as error:
            msg = f"{folder}: cannot be used as a cache: {error.strerror}"
            raise StoreError(msg) from error

    def get(self, key: str, length: int = -1) -> bytes | None:
        """Return an entry, or None where there is none that is whole and has this length (-1: whatever it has)."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)  # used now: what was used longest ago goes first
        except OSError:
            return None
        data, crc = content[:-_CRC_BYTES], content[-_CRC_BYTES:]
        if length not in (-1, len(data)) or google_crc32c.value(data) != int.from_bytes(crc, "little"):
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep an entry, dropping older ones; one larger than a folder's share is not kept.

        A disk that is full or fails costs the entry and nothing else: the data are at hand already.
        """
        path = self._path(key)
        length = len(data) + _CRC_BYTES
        if length > self._share:
            return
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            with _locked(path.parent / ".lock"):
                self._make_room(path.parent, length)
                try:
                    partial.write_bytes(data + google_crc32c.value(data).to_bytes(_CRC_BYTES, "little"))
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)

    @property
    def _share(self) -> int:
        """Bytes that the entries of one folder may take."""
        return self.size // self._folders

    def _path(self, key: str) -> Path:
        digest = hashlib.blake2b(key.encode(), digest_size=16)
        return self.folder / f"{int.from_bytes(digest.digest()[:4], 'little') % self._folders:03}" / digest.hexdigest()

    def _make_room(self, folder: Path, length: int) -> None:
        """Drop entries of a folder, those used longest ago first, until `length` bytes more fit its share."""
        entries = []
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name == ".lock":
                    continue
                if entry.name.startswith("."):  # of a process that died as it wrote: the lock is ours
                    Path(entry.path).unlink(missing_ok=True)
                    continue
                status = entry.stat()
                entries.append((status.st_mtime_ns, status.st_size, entry.path))
        taken = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if taken + length <= self._share:
                break
            Path(path).unlink(missing_ok=True)
            taken -= size


def _adopt(folder: Path, folders: int) -> int:
    """Make a folder a cache, or find that it is one; return over how many folders it spreads."""
    marker = folder / _MARKER
    with _locked(folder / ".lock"):
        if not marker.exists():
            others = [path.name for path in folder.iterdir() if path.name != ".lock"]
            if others:
                (folder / ".lock").unlink()
                msg = f"{folder}: holds {others[0]} and is no cache; it is left alone"
                raise StoreError(msg)
            marker.write_text(f"{folders}\n")
        try:
            return max(1, int(marker.read_text()))
        except ValueError as error:
            msg = f"{marker}: damaged; remove the cache {folder}"
            raise StoreError(msg) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Shard files: many compressed chunks in one file, with an index at the end.

Source: Zarr v3, ``sharding_indexed`` codec 1.0, with ``index_location: end`` and index codecs ``bytes`` (little
endian) and ``crc32c``. The index holds, for every inner chunk in C order, its offset and its length as uint64.
Chunks lie in the file in the order in which they were appended; a row group's chunks are appended together, so
that a masked read of a row group is one run of bytes.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache_formats.layout import DIGEST_BYTES

_CRC_BYTES: Final = 4
_MISSING: Final = np.uint64(2**64 - 1)


class ShardWriter:
    """Writes one shard to a temporary file beside its place; :meth:`finish` moves it there.

    Parameters
    ----------
    path : Path
        Final path of the shard.
    n_chunks : int
        Inner chunks of the shard, present or not.

    Notes
    -----
    Memory is the index alone. Nothing stands at `path` before :meth:`finish` has synced the whole file.
    """

    def __init__(self, path: Path, n_chunks: int) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self._index = np.full((n_chunks, 2), _MISSING, dtype="<u8")
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._position = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("wb")

    def append(self, chunk: int, stored: bytes) -> None:
        """Append the stored bytes of inner chunk number `chunk` (C order in the shard)."""
        self._index[chunk] = self._position, len(stored)
        self._write(stored)

    def finish(self) -> tuple[bytes, int]:
        """Write the index, sync, move into place; return the file's digest (16 bytes) and its length."""
        index = self._index.tobytes()
        self._write(index + google_crc32c.value(index).to_bytes(_CRC_BYTES, "little"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        sync_folder(self._path.parent)
        return self._digest.digest(), self._position

    def abandon(self) -> None:
        """Close and remove the temporary file."""
        with suppress(OSError):  # a full disk refuses the last bytes once more; its error is already on its way
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._position += len(data)


class ShardFile:
    """Reads the chunks of one shard file, checking every byte that it relies on.

    Parameters
    ----------
    path : Path
        The shard.
    n_chunks : int
        Inner chunks that its index must list.

    Raises
    ------
    StoreError
        If the file is missing, too short, or its index fails its checksum.
    """

    def __init__(self, path: Path, n_chunks: int) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            msg = f"{path}: shard cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        self._size = os.fstat(self._descriptor).st_size
        length = n_chunks * 16
        if self._size < length + _CRC_BYTES:
            msg = f"{path}: shard has {self._size} bytes, fewer than its index of {length + _CRC_BYTES}"
            raise StoreError(msg)
        tail = os.pread(self._descriptor, length + _CRC_BYTES, self._size - length - _CRC_BYTES)
        if google_crc32c.value(tail[:length]) != int.from_bytes(tail[length:], "little"):
            msg = f"{path}: the shard's index fails its checksum"
            raise StoreError(msg)
        self._index = np.frombuffer(tail[:length], dtype="<u8").reshape(n_chunks, 2)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def stored_bytes(self, chunks: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
        """Return the stored length of each of `chunks`; 0 where a chunk is missing."""
        lengths: npt.NDArray[np.uint64] = self._index[chunks, 1]
        return np.where(lengths == _MISSING, np.uint64(0), lengths)

    def read(self, chunk: int) -> bytes:
        """Return the stored bytes of one inner chunk.

        Raises
        ------
        StoreError
            If the index says that the chunk is missing, or points outside the file.
        """
        offset, length = (int(value) for value in self._index[chunk])
        if offset == _MISSING and length == _MISSING:
            msg = f"{self.path}: chunk {chunk} is missing"
            raise StoreError(msg)
        if offset + length > self._size:
            msg = f"{self.path}: chunk {chunk} lies at {offset}+{length}, past the file's {self._size} bytes"
            raise StoreError(msg)
        stored = os.pread(self._descriptor, length, offset)
        if len(stored) != length:
            msg = f"{self.path}: chunk {chunk}: read {len(stored)} of {length} bytes"
            raise StoreError(msg)
        return stored


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (fsync of the directory)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

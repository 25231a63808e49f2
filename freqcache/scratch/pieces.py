"""Bytes that are appended and read again: in memory while they are few, in a temporary file when they are many.

The file has no name, so it is gone with the process, however that ends. It is read, not mapped: what was read does not
stay in the memory of the process.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from pathlib import Path
from typing import Final

from freqcache.errors import BuildError
from freqcache.scratch.place import temporary_folder

HELD: Final = 4 << 20
"""Bytes that stay in memory before a file is made, and between its writes."""


class Scratch:
    """Bytes that were appended, in one sequence.

    Parameters
    ----------
    folder : Path, optional
        Where the temporary file is made, if one is needed; the system's folder for those by default. A folder that is
        missing is made with it.
    held : int, optional
        Bytes that are kept in memory; :data:`HELD` by default.
    """

    def __init__(self, folder: Path | None = None, *, held: int | None = None) -> None:
        self._folder, self._held = folder, HELD if held is None else held
        self._tail = bytearray()
        self._written = 0
        self._descriptor = -1
        self._closing: weakref.finalize[[int], Scratch] | None = None

    def __len__(self) -> int:
        return self._written + len(self._tail)

    def append(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        BuildError
            If the temporary file cannot be written.
        """
        self._tail += data
        if len(self._tail) > self._held:
            try:
                self._spill()
            except OSError as error:
                raise self._failure(error) from error

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from place `start` on; fewer at the end.

        Raises
        ------
        BuildError
            If the temporary file cannot be read.
        """
        stop = min(start + length, len(self))
        parts = []
        while start < min(stop, self._written):
            try:
                part = os.pread(self._descriptor, min(stop, self._written) - start, start)
            except OSError as error:
                raise self._failure(error) from error
            if not part:
                raise self._failure(OSError(errno.EIO, os.strerror(errno.EIO)))
            parts.append(part)
            start += len(part)
        if start < stop:
            parts.append(bytes(self._tail[start - self._written : stop - self._written]))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Give up what was appended, and the file; nothing can be read any more."""
        self._tail = bytearray()
        self._written = 0
        if self._closing is not None:
            self._closing()

    def _spill(self) -> None:
        if self._descriptor < 0:
            folder = self._folder or temporary_folder()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(prefix="freqcache-", dir=folder, buffering=0) as file:
                self._descriptor = os.dup(file.fileno())
            self._closing = weakref.finalize(self, os.close, self._descriptor)
        with memoryview(self._tail) as left:
            place = self._written
            while place < len(self):
                place += os.pwrite(self._descriptor, left[place - self._written :], place)
        self._written, self._tail = place, bytearray()

    def _failure(self, error: OSError) -> BuildError:
        folder = self._folder or temporary_folder()
        return BuildError(f"{folder}: a temporary file in it cannot be used: {error.strerror}")

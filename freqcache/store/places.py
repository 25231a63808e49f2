"""Where a store's files lie: a local folder here, URLs in :mod:`freqcache.store.remote_places`, the rest elsewhere.

The rest is what zarr-python opens: :mod:`freqcache.store.zarr_places`.

A place gives whole small files and opens large ones for reading ranges. Local files are read with ``pread``, never
mapped: a mapped file that somebody truncates kills the process, and reading ahead of scattered chunks costs several
times their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from freqcache.errors import StoreError

Piece: TypeAlias = tuple[int, memoryview]
"""Where bytes begin in a file, and where they go."""

NEAR: Final = 32_768
"""Bytes between two pieces that cost less than a read of their own, on a disk."""


class RangeFile(Protocol):
    """A file opened for reading ranges.

    Attributes
    ----------
    name : str
        For messages.
    size : int
        Bytes.
    near : int
        Gaps between pieces of up to so many bytes are read over, so that what is around them is one piece,
    waste : float
        as long as all the gaps of a call that are read over are no more than this share of what is wanted.
    """

    name: str
    size: int
    near: int
    waste: float

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `offset` on.

        Raises
        ------
        StoreError
            If the file cannot be read or ends before.
        """

    def read_pieces(self, pieces: Sequence[Piece]) -> None:
        """Do the same for several pieces, at the same time where that is faster."""


class Place(Protocol):
    """A folder of a store."""

    def __truediv__(self, name: str) -> Place:
        """Return a folder inside this one."""

    def read(self, key: str) -> bytes:
        """Return a whole file.

        Raises
        ------
        StoreError
            If it is missing or cannot be read.
        """

    def read_ahead(self, keys: Sequence[str]) -> Place:
        """Return this folder, some of whose files were fetched at the same time where each costs a request.

        One that cannot be read raises when it is asked for.
        """

    def open(self, key: str, size: int | None = None) -> RangeFile:
        """Open a file for reading ranges.

        Parameters
        ----------
        key : str
            Its name below this folder.
        size : int, optional
            Bytes that it has if it is the right one: where asking for its length costs a request, this is believed.

        Raises
        ------
        StoreError
            If it is missing or cannot be opened.
        """


class LocalPlace:
    """A folder on this machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> LocalPlace:
        return LocalPlace(self.path / name)

    def __str__(self) -> str:
        return str(self.path)

    def read(self, key: str) -> bytes:
        """Return a whole file: see :class:`Place`."""
        try:
            return (self.path / key).read_bytes()
        except OSError as error:
            msg = f"{self.path / key}: cannot be read: {error.strerror}"
            raise StoreError(msg) from error

    def read_ahead(self, keys: Sequence[str]) -> LocalPlace:  # noqa: ARG002 - a file costs no request
        """Return this folder: see :class:`Place`."""
        return self

    def open(self, key: str, size: int | None = None) -> LocalFile:  # noqa: ARG002 - its length costs nothing
        """Open a file for reading ranges: see :class:`Place`."""
        return LocalFile(self.path / key)


class LocalFile:
    """An open local file; its descriptor is closed with it."""

    near, waste = NEAR, inf

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            msg = f"{path}: cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        self.size = os.fstat(self._descriptor).st_size
        if hasattr(os, "posix_fadvise"):
            # What is asked for is one piece already; reading ahead of it fetched four to six times its bytes.
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `offset` on: see :class:`RangeFile`."""
        done = 0
        while done < len(target):
            try:
                count = os.preadv(self._descriptor, [target[done:]], offset + done)
            except OSError as error:
                msg = f"{self.name}: cannot be read at {offset + done}: {error.strerror}"
                raise StoreError(msg) from error
            if count == 0:
                msg = f"{self.name}: ends at {offset + done}, expected {len(target) - done} bytes more"
                raise StoreError(msg)
            done += count

    def read_pieces(self, pieces: Sequence[Piece]) -> None:
        """Fill several targets: see :class:`RangeFile`."""
        for offset, target in pieces:
            self.read_into(offset, target)

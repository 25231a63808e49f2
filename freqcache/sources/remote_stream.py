"""A file at a URL as a stream that can seek: for tarfile and for pyarrow, which read bits of it here and there.

It is read by blocks, and the last one is kept: a tar of small images is then read once from front to back by few
requests, and one of large images by hops from header to header.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.files import changed


class RemoteStream(io.RawIOBase):
    """Reads a file at a URL.

    Parameters
    ----------
    path : RemotePath
        The file.
    size : int
        Its bytes.
    block : int
        Bytes of a request, or more if more are asked for at once.
    """

    def __init__(self, path: RemotePath, size: int, block: int) -> None:
        super().__init__()
        self._path, self._size, self._block = path, size, block
        self._place = self._start = 0
        self._data = b""

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def seekable(self) -> bool:
        """Say that it is."""
        return True

    def tell(self) -> int:
        """Return where it stands."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go somewhere else; nothing is asked of the server."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = origin + offset
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; fewer only at the end."""
        length = max(0, self._size - self._place) if size is None or size < 0 else size
        data = self.read_at(length, self._place)
        self._place += len(data)
        return data

    def read_at(self, length: int, offset: int) -> bytes:
        """Return bytes from somewhere; fewer only at the end.

        Raises
        ------
        BuildError
            If the server cannot be reached, or the file is gone or has become shorter.
        """
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._data):
            wanted = min(max(length, self._block), self._size - offset)
            try:
                self._data = self._path.read_range(offset, wanted)
            except FileNotFoundError as error:
                msg = f"{self._path}: this file of the source is no longer there"
                raise BuildError(msg) from error
            if len(self._data) < wanted:
                raise BuildError(changed(self._path))
            self._start, begin = offset, 0
        return self._data[begin : begin + length]


@contextmanager
def opened_stream(path: RemotePath, version: int, block: int) -> Iterator[RemoteStream]:
    """Give a file at a URL as a stream, if it is still what was listed; raises as :func:`check_version`."""
    yield RemoteStream(path, check_version(path, version), block)


def check_version(path: RemotePath, version: int) -> int:
    """Check that a container is what was listed; return its bytes.

    Raises
    ------
    BuildError
        If it is gone or another one, or cannot be reached.
    """
    found = path.stat()
    if found is None:
        msg = f"{path}: this file of the source is no longer there"
        raise BuildError(msg)
    if version and found.version != version:
        raise BuildError(changed(path))
    return found.size

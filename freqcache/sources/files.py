"""Reads local files of a source, whole or in part, telling a file that is bad from a source or a machine that fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from freqcache.errors import BuildError, SourceError
from freqcache.sources.tree import SourceFile

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def read_file(path: str | Path, length: int = -1) -> bytes:
    """Return a source file's bytes, or the first `length` of them.

    Raises
    ------
    SourceError
        If it cannot be read, or is no regular file (a pipe would be waited for).
    BuildError
        If its folder is gone: the source has vanished, which is no fault of the file.
    OSError
        If this process has no memory or no descriptor left to read any file.
    """
    with _reading(path), _opened(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            msg = "cannot be read: not a regular file"
            raise SourceError(msg)
        return file.read(length)


@dataclass(frozen=True, kw_only=True)
class RangeReader:
    """Reads files that lie as they are inside larger ones (tars, spools): see :class:`SourceReader`.

    Parameters
    ----------
    root : Path
        What the names of containers are relative to.
    """

    root: Path

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        path = self.root / file.container
        wanted = file.size if length < 0 else min(length, file.size)
        with opened_container(path, file.mtime_ns) as container, _reading(path):
            # Unbuffered: a buffer would read ahead into the next image.
            data = os.pread(container.fileno(), wanted, file.position)
        if len(data) < wanted:
            raise BuildError(changed(path))
        return data


@contextmanager
def opened_container(path: Path, mtime_ns: int) -> Iterator[BinaryIO]:
    """Open a container for reading, if it is still what was listed.

    Parameters
    ----------
    path : Path
        The container.
    mtime_ns : int
        Time of its last change when it was listed; 0 for a container that this build itself wrote.

    Raises
    ------
    BuildError
        If it is gone, cannot be opened, or has changed: none of its images can be trusted.
    OSError
        If this process has no memory or no descriptor left to open any file.
    """
    try:
        file = _opened(path)
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        msg = f"{path}: this file of the source can no longer be opened ({error.strerror})"
        raise BuildError(msg) from error
    with file:
        if mtime_ns and os.fstat(file.fileno()).st_mtime_ns != mtime_ns:
            raise BuildError(changed(path))
        yield file


def changed(path: object) -> str:
    """Return the words for a file that is not what was listed."""
    return f"{path}: this file of the source has changed since it was listed"


def _opened(path: str | Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Tell a file that cannot be read, which a build passes over, from a source or a machine that fails."""
    try:
        yield
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        folder = Path(path).parent
        if not folder.is_dir():
            msg = f"{folder}: this folder of the source has vanished; once it is back, the same command goes on"
            raise BuildError(msg) from error
        msg = f"cannot be read: {error.strerror}"
        raise SourceError(msg) from error

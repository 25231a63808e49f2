"""Reads one local file of a source, telling a file that is bad from a source or a machine that fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from freqcache.errors import BuildError, SourceError

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
    with _reading(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                msg = "cannot be read: not a regular file"
                raise SourceError(msg)
            return file.read(length)


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

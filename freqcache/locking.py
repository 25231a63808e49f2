"""A lock that one process at a time holds: a file whose lock the kernel drops with the process, however that ends.

Whoever holds the lock may remove the file, and its folder with it. A process that had opened the file before would
then lock a file without a name, beside the next one that makes a new file: so the name is looked at after locking.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

_ATTEMPTS: Final = 100
"""Each of them needs another process that removes the file at this very moment."""


def lock_file(path: Path, *, wait: bool = False) -> int:
    """Make a file if it is not there, its folder too, and lock it; return its descriptor, which holds the lock.

    To let go, remove the file first, if it is to go, and then close the descriptor.

    Parameters
    ----------
    path : Path
        The file.
    wait : bool
        Until whoever holds the lock lets go.

    Raises
    ------
    BlockingIOError
        If another process, or another descriptor of this one, holds the lock.
    OSError
        If the file cannot be made or locked.
    """
    for _ in range(_ATTEMPTS):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # the folder went meanwhile
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(errno.ENOENT, "the lock file goes as often as it is made", str(path))


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that a path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

"""Files that stand whole or not at all, also after a crash: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Final

PARTIAL: Final = ".partial"
"""How the names of files end that are not finished."""


def temporary(path: Path) -> Path:
    """Return a name beside `path` that no other file has, whichever process of whichever machine makes one.

    Several machines may write one folder, and a process number says nothing there. Who clears a folder knows such names
    by their ending, ``.partial``.
    """
    host = socket.gethostname().partition(".")[0]
    return path.with_name(f"{path.name}.{host}-{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Put a file with some content at `path`, replacing what stands there.

    Raises
    ------
    OSError
        If it cannot be written; nothing at `path` has changed then.
    """
    partial = temporary(path)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

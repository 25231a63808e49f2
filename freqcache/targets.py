"""Looks whether a file can be written, before the work that is to fill it."""

from __future__ import annotations

import os
from pathlib import Path

from freqcache.errors import FreqcacheError


def check_target(path: str | Path, error: type[FreqcacheError]) -> None:
    """Raise `error` where no file can be written at a path: no folder, no permission, or a folder in the way."""
    path = Path(path)
    if not path.parent.is_dir():
        msg = f"{path.parent}: no such folder to write {path.name} to"
        raise error(msg)
    if path.is_dir():
        msg = f"{path}: is a folder; name a file to write"
        raise error(msg)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        msg = f"{path}: cannot be written: no permission"
        raise error(msg)

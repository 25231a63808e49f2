"""Drops files from the page cache, and counts what of them is still there. Linux, without root.

Linux drops what is neither dirty nor mapped, so files are synced first; files that are open are no obstacle. A virtual
machine's host, or a disk's own memory, may still hold the blocks: cold here means that this system has to ask its disk.
Nothing is ever written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from freqcache.errors import FreqcacheError

MOST_LEFT: Final = 0.01
"""Share of the pages that may stay in memory where files count as dropped."""


class NotDroppedError(FreqcacheError):
    """Files stay in the page cache: nothing can be measured cold with them."""


def files_below(folder: Path) -> list[Path]:
    """Return the files below a folder that are not empty."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


def can_drop() -> bool:
    """Whether this system can drop files, and say what is left of them."""
    return sys.platform == "linux" and hasattr(os, "posix_fadvise")


def drop(files: Sequence[Path]) -> None:
    """Drop files, none of them empty, from the page cache.

    Raises
    ------
    NotDroppedError
        If this system cannot, or if more than a hundredth of them stays.
    """
    if not can_drop():
        msg = "only Linux drops files from the page cache without root"
        raise NotDroppedError(msg)
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    left = resident(files)
    if left > MOST_LEFT:
        msg = f"{left:.0%} of {files[0].parent} stays in the page cache: it cannot be measured cold (is it mapped?)"
        raise NotDroppedError(msg)


def warm(files: Sequence[Path]) -> None:
    """Read files once, so that the page cache holds them."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def resident(files: Sequence[Path]) -> float:
    """Return the share of the files' pages that the page cache holds; 0 without files."""
    held, pages = 0, 0
    for path in files:
        flags = np.frombuffer(_mincore(path), dtype=np.uint8)
        held += int(np.count_nonzero(flags & 1))
        pages += len(flags)
    return held / max(1, pages)


def _mincore(path: Path) -> bytes:
    """Return one byte a page of the file, whose lowest bit says whether it is in memory."""
    size, library = path.stat().st_size, _library()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap", str(path))
    flags = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    failed = library.mincore(address, size, flags)
    error = ctypes.get_errno()
    library.munmap(address, size)
    if failed:
        raise OSError(error, "mincore", str(path))
    return flags.raw


@cache
def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    return library

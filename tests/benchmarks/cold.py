"""Drops files from the page cache, and counts what of them is still there.

Linux drops what is neither dirty nor mapped, so files are synced first and readers must be closed. A virtual machine's
host may still hold the blocks: cold here means that this system has to ask its disk.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def files_below(folder: Path) -> list[Path]:
    """Return the files of a store that are not empty."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


def drop(files: Sequence[Path]) -> None:
    """Drop files from the page cache; end where more than a hundredth of them stays."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    left = resident(files)
    if left > 0.01:
        msg = f"{left:.0%} of {files[0].parent} stays in the page cache: it cannot be measured cold (is it mapped?)"
        raise SystemExit(msg)


def warm(files: Sequence[Path]) -> None:
    """Read files once, so that the page cache holds them."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def resident(files: Sequence[Path]) -> float:
    """Return the share of the files' pages that the page cache holds."""
    held, pages = 0, 0
    for path in files:
        flags = _mincore(path)
        held += sum(flag & 1 for flag in flags)
        pages += len(flags)
    return held / pages


def _mincore(path: Path) -> bytes:
    """Return one byte a page of the file, whose lowest bit says whether it is in memory."""
    size = path.stat().st_size
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap", str(path))
    flags = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    failed = _LIBC.mincore(address, size, flags)
    error = ctypes.get_errno()
    _LIBC.munmap(address, size)
    if failed:
        raise OSError(error, "mincore", str(path))
    return flags.raw

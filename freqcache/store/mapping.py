"""Maps files into memory without keeping them open.

Python's ``mmap`` holds a descriptor for as long as a mapping lives (until 3.13 there is no way around it), and a hot
copy has more files than a process may have descriptors. So the C library's ``mmap`` is called directly.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_FAILED = ctypes.c_void_p(-1).value


def map_file(path: Path, length: int) -> npt.NDArray[np.uint8]:
    """Return the first `length` bytes of a file, read-only; unmapped with the last array that shows them.

    Raises
    ------
    OSError
        If it cannot be opened or mapped.
    """
    return np.asarray(_Mapping(path, length))


class _Mapping:
    """A mapping, as an object that numpy makes an array of."""

    def __init__(self, path: Path, length: int) -> None:
        self._address = None
        with path.open("rb") as file:
            address = _library().mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == _FAILED:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._address, self._length, self._unmap = address, length, _library().munmap

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "typestr": "|u1", "shape": (self._length,), "data": (self._address, True)}

    def __del__(self) -> None:
        if self._address is not None:
            self._unmap(self._address, self._length)


@cache
def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    word, size = ctypes.c_int, ctypes.c_size_t
    library.mmap.argtypes = [ctypes.c_void_p, size, word, word, word, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, size]
    return library

"""The C functions that compiled kernels call: zstd's, from the wheel of numcodecs, and CRC-32C, from google-crc32c's.

Both wheels hold the whole C library inside their extension modules, which export its functions. Calling those
directly spares the copies, the contexts made anew for every call and the lock of the interpreter that the packages'
Python functions cost. Where a wheel does not export them (or the machine is big-endian), :func:`functions` gives
None and chunks go through the packages' Python functions, one by one: slower, with the same results.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import weakref
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import numcodecs.zstd
import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError

_log = logging.getLogger("freqcache")

_COMPRESSION_LEVEL: Final = 100
_CHECKSUM_FLAG: Final = 201
"""Numbers of two of zstd's ``ZSTD_cParameter``."""

_IGNORE_CHECKSUM: Final = 1002
"""Number of zstd's ``ZSTD_d_forceIgnoreChecksum``."""


@dataclass(frozen=True, kw_only=True)
class Functions:
    """Addresses of C functions, and the two libraries that hold them.

    Attributes
    ----------
    addresses : (3,) uintp
        ``ZSTD_decompressDCtx``, ``ZSTD_compress2``, ``crc32c_extend``: what a kernel takes.
    zstd : ctypes.CDLL
        The library that contexts are made with.
    """

    addresses: npt.NDArray[np.uintp]
    zstd: ctypes.CDLL


@cache
def functions() -> Functions | None:
    """Return the C functions, or None where they cannot be called."""
    if sys.byteorder == "big":  # kernels read and write little-endian values as they lie in memory
        return None
    try:
        zstd = ctypes.CDLL(numcodecs.zstd.__file__)
        # The extension module is linked with the library, so its own handle finds the library's functions.
        checksum = ctypes.CDLL(import_module("google_crc32c._crc32c").__file__)
        found = [zstd.ZSTD_decompressDCtx, zstd.ZSTD_compress2, checksum.crc32c_extend]
        for name in ("ZSTD_createDCtx", "ZSTD_createCCtx"):
            getattr(zstd, name).restype = ctypes.c_void_p
        for name in ("ZSTD_freeDCtx", "ZSTD_freeCCtx"):
            getattr(zstd, name).argtypes = [ctypes.c_void_p]
        for name in ("ZSTD_CCtx_setParameter", "ZSTD_DCtx_setParameter"):
            getattr(zstd, name).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
            getattr(zstd, name).restype = ctypes.c_size_t
        zstd.ZSTD_isError.argtypes = [ctypes.c_size_t]
    except (ImportError, OSError, AttributeError) as error:
        _log.warning("the C functions of zstd and crc32c cannot be called directly (%s): chunks are read slower", error)
        return None
    addresses = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in found]
    return Functions(addresses=np.array(addresses, dtype=np.uintp), zstd=zstd)


class Context:
    """A zstd context, to be used by one thread at a time: for decompression, or for compression with a level.

    Parameters
    ----------
    library : Functions
        From :func:`functions`.
    level : int, optional
        Makes it a context for compression.
    checksum : bool
        Whether compressed frames get a checksum.

    Attributes
    ----------
    address : int
        What the C functions take.
    """

    def __init__(self, library: Functions, *, level: int | None = None, checksum: bool = False) -> None:
        zstd: Any = library.zstd
        address = zstd.ZSTD_createDCtx() if level is None else zstd.ZSTD_createCCtx()
        if not address:
            msg = "zstd cannot allocate a context: out of memory"
            raise StoreError(msg)
        self.address = int(address)
        self._release = weakref.finalize(
            self, zstd.ZSTD_freeDCtx if level is None else zstd.ZSTD_freeCCtx, self.address
        )
        self._release.atexit = False  # a daemon thread may still be using its context when the interpreter ends
        if level is None:
            # CRC-32C has vouched for the frame already. If the parameter is refused, the check only costs time.
            zstd.ZSTD_DCtx_setParameter(self.address, _IGNORE_CHECKSUM, 1)
        else:
            for parameter, value in ((_COMPRESSION_LEVEL, level), (_CHECKSUM_FLAG, int(checksum))):
                if zstd.ZSTD_isError(zstd.ZSTD_CCtx_setParameter(self.address, parameter, value)):
                    msg = f"zstd refuses level {level}"
                    raise StoreError(msg)

"""Memory for batches, used again as soon as nobody refers to it.

The system takes longer to give and to clear fresh memory than it takes to fill it, most of all in virtual machines. A
batch refers to the memory that it was made in for as long as it lives, so only its last reference tells
when the memory is free: CPython counts references, and a count that is not the idle one just means fresh memory.
"""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

_STEPS = 8
"""Sizes between a number and its double: near sizes share memory."""


class Buffers:
    """Gives arrays whose content is whatever was there before; usable by several threads. Copies begin empty."""

    def __init__(self) -> None:
        self._held: list[npt.NDArray[np.uint8]] = []
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Buffers], tuple[()]]:
        return Buffers, ()

    def take(self, length: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialized array of `length` elements; it is taken back when its last view is gone."""
        n_bytes = length * np.dtype(dtype).itemsize
        with self._lock:
            return self._idle(n_bytes)[:n_bytes].view(dtype)

    def _idle(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        idle = [k for k in range(len(self._held)) if sys.getrefcount(self._held[k]) == _IDLE]
        fits = [k for k in idle if self._held[k].nbytes >= n_bytes]
        if fits:
            return self._held[min(fits, key=lambda k: self._held[k].nbytes)]
        if idle:  # too small, and so it will be for the next as well
            del self._held[min(idle, key=lambda k: self._held[k].nbytes)]
        self._held.append(np.empty(_rounded_up(n_bytes), dtype=np.uint8))
        return self._held[-1]


def _rounded_up(n_bytes: int) -> int:
    step = max(1, (1 << max(n_bytes - 1, 0).bit_length()) // 2 // _STEPS)
    return -(-n_bytes // step) * step


def _idle_count() -> int:
    held = [np.empty(1, dtype=np.uint8)]
    return sys.getrefcount(held[0])


_IDLE = _idle_count()

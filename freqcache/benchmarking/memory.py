"""A yardstick for reading: how fast this machine copies memory."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

_COPIED: Final = 64 << 20
"""Bytes that are copied for the yardstick: more than processors' caches hold."""


def memory_bandwidth() -> float:
    """Return the bytes a second that one thread copies from memory to memory: the best of a few copies."""
    source, target = np.ones(_COPIED, dtype=np.uint8), np.zeros(_COPIED, dtype=np.uint8)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        taken.append(time.perf_counter() - start)
    return _COPIED / min(taken)

"""Memory that is used again: never while a batch refers to it."""

from __future__ import annotations

import gc

import numpy as np
import torch

from freqcache.buffers import Buffers


def test_memory_is_used_again_once_its_last_view_is_gone() -> None:
    buffers = Buffers()
    first = buffers.take(1000, np.int16)
    assert first.shape == (1000,)
    assert first.dtype == np.int16
    place = first.ctypes.data
    tensor = torch.from_numpy(first[10:20])
    del first
    other = buffers.take(1000, np.int16)
    assert other.ctypes.data != place  # a tensor of a part of it is still there
    del tensor
    gc.collect()
    assert buffers.take(990, np.int16).ctypes.data == place
    assert other.ctypes.data != place


def test_what_is_held_does_not_grow_with_the_sizes_asked_for() -> None:
    buffers = Buffers()
    for length in range(1, 5000, 7):
        buffers.take(length, np.int16)[:] = 1
    assert len(buffers._held) == 1
    kept = [buffers.take(100, np.int8) for _ in range(5)]
    assert len({array.ctypes.data for array in kept}) == 5
    assert buffers.take(0, np.int16).size == 0

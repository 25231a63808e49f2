"""Entropy-coded data as the kernels read it: without stuffed bytes, cut at restart markers.

Source: ITU-T T.81 B.1.1.5 (byte stuffing), E.2.4 and F.2.2.5 (restarts). A lost or doubled restart marker is
recognised by its number, as T.81 recommends; the blocks of a lost interval stay zero.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache.jpeg.markers import RST0, RST7

PADDING: Final = 4096
"""Zero bytes after the data, so that a kernel may read on past its end for one MCU before it looks.

An MCU has at most 10 blocks of 64 symbols, and a symbol with its bits takes at most 32 bits: 2,560 bytes.
"""

Integer: TypeAlias = int | np.int64
_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)


@kernel
def _next_escape(data: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """Position of the first byte 0xFF in ``data[start:end]``, or `end`."""
    at = np.uint64(start)
    while at + np.uint64(8) <= np.uint64(end):
        word = (
            np.uint64(data[at])
            | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
            | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
            | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
            | np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
            | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
            | np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
            | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
        )
        if (~word - _ONES) & word & _TOPS != 0:
            break
        at += np.uint64(8)
    for i in range(np.int64(at), end):
        if data[i] == 0xFF:
            return i
    return end


@kernel
def find_end(data: npt.NDArray[np.uint8], start: int) -> int:
    """Find where entropy-coded data ends.

    Parameters
    ----------
    data : (n,) uint8
        The file.
    start : int
        Position of its first byte.

    Returns
    -------
    int
        Position of the first byte 0xFF before a byte that is not 0, a fill byte or a restart marker; n if none.
    """
    length = len(data)
    at = start
    while True:
        at = _next_escape(data, at, length)
        if at >= length - 1:
            return length
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or RST0 <= following <= RST7:
            at += 2
        else:
            return at


@kernel
def cut_segments(
    data: npt.NDArray[np.uint8],
    start: int,
    end: int,
    stream: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
) -> Integer:
    """Copy one scan's entropy-coded data, without stuffing, and cut it at restart markers.

    Parameters
    ----------
    data : (n,) uint8
        The file.
    start, end : int
        The scan's data, without the marker that follows it.
    stream : (>= end - start + PADDING,) uint8
        Filled in place: the segments one after the other, then zeros.
    bounds : (segments + 1,) int64
        Filled in place: segment i is ``stream[bounds[i]:bounds[i + 1]]``. Lost segments are empty.

    Returns
    -------
    int
        How many restart markers were lost, doubled, too many, or had an unexpected number.
    """
    segments = len(bounds) - 1
    faults: Integer = 0
    segment = 0
    source = start
    target: Integer = 0
    bounds[0] = 0
    while source < end:
        escape = _next_escape(data, source, end)
        following = np.int64(data[escape + 1]) if escape < end - 1 else 0xFF
        # A stuffed byte 0xFF is data; one before another byte 0xFF, or a marker, is not.
        size = escape - source + (1 if following == 0 else 0)
        piece = stream[target : target + size]
        original = data[source : source + size]
        for i in range(size):
            piece[i] = original[i]
        target += size
        source = escape + (1 if following == 0xFF else 2)
        if following == 0 or following == 0xFF:
            continue
        if segment == segments - 1:
            # Some encoders close the last segment with a restart marker too; data after it belongs nowhere.
            while source < end - 1 and data[source] == 0xFF:
                source += 1 if data[source + 1] == 0xFF else 2
            if source < end and data[source] != 0xFF:
                faults += 1
            break
        ahead = (following - RST0 - segment) & 7
        if ahead >= 6 and segment >= 8 - ahead:
            # A marker that has been before: what lies between them belongs nowhere.
            target = bounds[segment]
            faults += 1
            continue
        if ahead > 2:
            ahead = 0
            faults += 1
        faults += ahead
        ahead = min(ahead, segments - 2 - segment)
        for _ in range(ahead + 1):
            segment += 1
            bounds[segment] = target
    bounds[segment + 1 :] = target
    faults += segments - 1 - segment
    stream[target : target + PADDING] = 0
    return faults

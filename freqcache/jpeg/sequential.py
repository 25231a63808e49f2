"""Decodes one scan of a baseline or extended sequential frame.

Source: ITU-T T.81 F.2.2 (decoding of DC and AC coefficients), A.2 (order of blocks). The kernel works on plain
arrays; another implementation with the same arguments can take its place. Broken data never stops it with an error:
it leaves the rest of the segment as it is, goes on at the next restart, and counts what it met.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache.jpeg.bits import (
    BAD_CODE,
    ENDS_EARLY,
    FILLED,
    FULL,
    LEFT_OVER,
    LENGTH,
    LOOK,
    OUT_OF_RANGE,
    THREE,
    TOO_MANY,
    Integer,
    finish_symbol,
    load,
    long_entry,
    skip_of,
)
from freqcache.jpeg.huffman import END_OF_BLOCK, LONG, ROW


@kernel
def decode_sequential(
    stream: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    mcu_rows: int,
    mcu_cols: int,
    interval: int,
    tables: npt.NDArray[np.int32],
    out: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode one scan into the planes of its components.

    Parameters
    ----------
    stream, bounds : arrays
        As :func:`freqcache.jpeg.stream.cut_segments` makes them.
    units : (blocks in an MCU, 10) int64
        For each block of an MCU: offset of its component in `out`; block rows and columns of the component; rows
        and columns of its blocks in an MCU; its own row and column among them; numbers of its DC and AC tables in
        `tables`; index of its component's prediction, 0..3.
    mcu_rows, mcu_cols : int
        Grid of MCUs.
    interval : int
        MCUs in a segment.
    tables : (n * ROW,) int32
        Lookup tables of :mod:`freqcache.jpeg.huffman`, of the kinds ``DC`` and ``AC``.
    out : (n + 64,) int16
        Zeros on entry; components in channel-major order, then room for a block that nobody wants.
    faults : (FAULTS,) int64
        Counted up in place.
    """
    for segment in range(len(bounds) - 1):
        first = segment * interval
        last = min(first + interval, mcu_rows * mcu_cols)
        if bounds[segment] == bounds[segment + 1]:
            faults[ENDS_EARLY] += 1
        else:
            _decode_segment(
                stream, bounds[segment], bounds[segment + 1], units, first, last, mcu_cols, tables, out, faults
            )


@kernel
def _decode_segment(
    stream: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    units: npt.NDArray[np.int64],
    first: int,
    last: int,
    mcu_cols: int,
    tables: npt.NDArray[np.int32],
    out: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode the MCUs `first` to `last` from ``stream[start:end]``."""
    predictions = np.zeros(4, dtype=np.int64)
    at, bits, count = np.uint64(start), np.uint64(0), np.uint64(0)
    for mcu in range(first, last):
        mcu_row, mcu_col = mcu // mcu_cols, mcu % mcu_cols
        for u in range(len(units)):
            row = mcu_row * units[u, 3] + units[u, 5]
            col = mcu_col * units[u, 4] + units[u, 6]
            place, stride = np.uint64(len(out) - 64), np.uint64(1)
            if row < units[u, 1] and col < units[u, 2]:
                place = np.uint64(units[u, 0] + row * units[u, 2] + col)
                stride = np.uint64(units[u, 1] * units[u, 2])
            bits |= load(stream, at) >> count
            at += (FULL - count) >> THREE
            count |= FILLED
            table = np.uint64(units[u, 7] * ROW)
            entry: Integer = np.int64(tables[table + (bits >> LOOK)])
            if skip_of(entry) == LONG:
                entry = long_entry(bits, tables, table)
            bits, count, skip, value = finish_symbol(entry, bits, count)
            if skip == LONG:
                faults[BAD_CODE] += 1
                return
            value += predictions[units[u, 9]]
            predictions[units[u, 9]] = out[place] = value
            if value < -2048 or value > 2047:
                faults[OUT_OF_RANGE] += 1
            table = np.uint64(units[u, 8] * ROW)
            k: Integer = 1
            while k < 64:
                bits |= load(stream, at) >> count
                at += (FULL - count) >> THREE
                count |= FILLED
                entry = np.int64(0)
                # 56 bits are enough for two short symbols and one of any length.
                for _ in range(3):
                    entry = np.int64(tables[table + (bits >> LOOK)])
                    k += skip_of(entry)
                    if k > 63:
                        break
                    bits <<= np.uint64(entry) & LENGTH
                    count -= np.uint64(entry) & LENGTH
                    out[place + stride * np.uint64(k)] = entry >> 16
                    k += 1
                else:
                    continue
                k -= skip_of(entry)
                if k == 64:
                    break
                if skip_of(entry) == LONG:
                    entry = long_entry(bits, tables, table)
                bits, count, skip, value = finish_symbol(entry, bits, count)
                if END_OF_BLOCK <= skip < LONG:
                    break
                k += skip
                if k > 63:
                    faults[BAD_CODE if skip == LONG else TOO_MANY] += 1
                    return
                if value < -1023 or value > 1023:
                    faults[OUT_OF_RANGE] += 1
                out[place + stride * np.uint64(k)] = value
                k += 1
        if at - (count >> THREE) > np.uint64(end):
            faults[ENDS_EARLY] += 1
            return
    if at - (count >> THREE) < np.uint64(end):
        faults[LEFT_OVER] += 1

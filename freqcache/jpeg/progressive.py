"""Decodes one scan of a progressive frame.

Source: ITU-T T.81 G.1.2 (coding of progressive scans, here read backwards), A.2 (order of blocks). There is a kernel
for DC scans, one for the first scan of an AC band and one for its refinements; the arguments that they share with
:func:`freqcache.jpeg.sequential.decode_sequential` mean the same. Broken data ends a segment and is counted.
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

_ONE = np.uint64(1)
_FEW = np.uint64(8)


@kernel
def decode_dc(
    stream: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    mcu_rows: int,
    mcu_cols: int,
    interval: int,
    tables: npt.NDArray[np.int32],
    low: int,
    refine: bool,
    out: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode the first scan of DC coefficients, or a bit more of each.

    Parameters
    ----------
    stream, bounds, units, mcu_rows, mcu_cols, interval, tables, out, faults : arrays and int
        As for sequential scans; `tables` is not looked at in a refinement.
    low : int
        Successive approximation Al, 0..13.
    refine : bool
        Whether Ah is not 0.
    """
    for segment in range(len(bounds) - 1):
        first = segment * interval
        last = min(first + interval, mcu_rows * mcu_cols)
        start, end = bounds[segment], bounds[segment + 1]
        if start == end:
            faults[ENDS_EARLY] += 1
        else:
            _dc_segment(stream, start, end, units, first, last, mcu_cols, tables, low, refine, out, faults)


@kernel
def _dc_segment(
    stream: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    units: npt.NDArray[np.int64],
    first: int,
    last: int,
    mcu_cols: int,
    tables: npt.NDArray[np.int32],
    low: int,
    refine: bool,
    out: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode DC coefficients of the MCUs `first` to `last` from ``stream[start:end]``."""
    predictions = np.zeros(4, dtype=np.int64)
    at, bits, count = np.uint64(start), np.uint64(0), np.uint64(0)
    for mcu in range(first, last):
        mcu_row = mcu // mcu_cols
        mcu_col = mcu - mcu_row * mcu_cols
        for u in range(len(units)):
            row = mcu_row * units[u, 3] + units[u, 5]
            col = mcu_col * units[u, 4] + units[u, 6]
            place = np.uint64(len(out) - 64)
            if row < units[u, 1] and col < units[u, 2]:
                place = np.uint64(units[u, 0] + row * units[u, 2] + col)
            bits |= load(stream, at) >> count
            at += (FULL - count) >> THREE
            count |= FILLED
            if refine:
                out[place] |= np.int64(bits >> FULL) << low
                bits <<= _ONE
                count -= _ONE
                continue
            table = np.uint64(units[u, 7] * ROW)
            entry: Integer = np.int64(tables[table + (bits >> LOOK)])
            if skip_of(entry) == LONG:
                entry = long_entry(bits, tables, table)
            bits, count, skip, value = finish_symbol(entry, bits, count)
            if skip == LONG:
                faults[BAD_CODE] += 1
                return
            value += predictions[units[u, 9]]
            predictions[units[u, 9]] = value
            value <<= low
            if value < -2048 or value > 2047:
                faults[OUT_OF_RANGE] += 1
            out[place] = value
        if at - (count >> THREE) > np.uint64(end):
            faults[ENDS_EARLY] += 1
            return
    if at - (count >> THREE) < np.uint64(end):
        faults[LEFT_OVER] += 1


@kernel
def decode_ac_first(
    stream: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    interval: int,
    table: npt.NDArray[np.int32],
    start: int,
    end: int,
    low: int,
    planes: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode the first scan of a band of AC coefficients of one component.

    Parameters
    ----------
    stream, bounds, interval, faults : arrays and int
        As for sequential scans; an MCU is one block.
    table : (ROW,) int32
        Lookup table of the kind ``AC_FIRST``.
    start, end : int
        First and last zigzag position, 1..63.
    low : int
        Successive approximation Al, 0..13.
    planes : (64, blocks) int16
        The component, zero in this band.
    """
    for segment in range(len(bounds) - 1):
        at, bits, count = np.uint64(bounds[segment]), np.uint64(0), np.uint64(0)
        limit = np.uint64(bounds[segment + 1])
        block: Integer = segment * interval
        last = min(segment * interval + interval, planes.shape[1])
        good = bool(at < limit)
        faults[ENDS_EARLY] += not good
        while good and block < last:
            k: Integer = start
            run: Integer = 1
            while k <= end:
                bits |= load(stream, at) >> count
                at += (FULL - count) >> THREE
                count |= FILLED
                entry: Integer = np.int64(table[bits >> LOOK])
                if skip_of(entry) == LONG:
                    entry = long_entry(bits, table, np.uint64(0))
                bits, count, skip, value = finish_symbol(entry, bits, count)
                if END_OF_BLOCK <= skip < LONG:
                    # The band ends here, and so do those of the blocks of a run.
                    size = np.uint64(skip - END_OF_BLOCK)
                    run = np.int64((_ONE << size) | (bits >> _ONE >> (FULL - size)))
                    bits <<= size
                    count -= size
                    break
                k += skip
                if k > end:
                    faults[BAD_CODE if skip == LONG else TOO_MANY] += 1
                    good = False
                    break
                value <<= low
                if value < -2048 or value > 2047:
                    faults[OUT_OF_RANGE] += 1
                planes[k, block] = value
                k += 1
            if good and at - (count >> THREE) > limit:
                faults[ENDS_EARLY] += 1
                good = False
            block += run
        if good:
            faults[TOO_MANY] += block > last
            faults[LEFT_OVER] += at - (count >> THREE) < limit


@kernel
def decode_ac_refinement(
    stream: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    interval: int,
    table: npt.NDArray[np.int32],
    start: int,
    end: int,
    low: int,
    planes: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode a bit more of a band of AC coefficients of one component.

    Parameters
    ----------
    stream, bounds, interval, start, end, low, planes, faults : arrays and int
        As for first scans; `planes` holds what earlier scans gave.
    table : (ROW,) int32
        Lookup table of the kind ``AC_REFINEMENT``.
    """
    for segment in range(len(bounds) - 1):
        first = segment * interval
        last = min(first + interval, planes.shape[1])
        if bounds[segment] == bounds[segment + 1]:
            faults[ENDS_EARLY] += 1
        else:
            _refine_segment(
                stream, bounds[segment], bounds[segment + 1], first, last, table, start, end, low, planes, faults
            )


@kernel
def _refine_segment(
    stream: npt.NDArray[np.uint8],
    data_start: Integer,
    data_end: Integer,
    first: int,
    last: int,
    table: npt.NDArray[np.int32],
    start: int,
    end: int,
    low: int,
    planes: npt.NDArray[np.int16],
    faults: npt.NDArray[np.int64],
) -> None:
    """Refine the blocks `first` to `last` from ``stream[data_start:data_end]``."""
    at, bits, count = np.uint64(data_start), np.uint64(0), np.uint64(0)
    one = np.int64(1) << low
    run: Integer = 0
    for block in range(first, last):
        k: Integer = start
        while k <= end:
            zeros: Integer = 64
            value: Integer = 0
            if run == 0:
                bits |= load(stream, at) >> count
                at += (FULL - count) >> THREE
                count |= FILLED
                entry: Integer = np.int64(table[bits >> LOOK])
                if skip_of(entry) == LONG:
                    entry = long_entry(bits, table, np.uint64(0))
                symbol = entry >> 16
                bits <<= np.uint64(entry) & LENGTH
                count -= np.uint64(entry) & LENGTH
                if skip_of(entry) == LONG or (symbol & 15) > 1:
                    faults[BAD_CODE] += 1
                    return
                zeros = symbol >> 4
                size = np.uint64(symbol & 15)
                if size == _ONE:
                    value = one if bits >> FULL else -one
                elif zeros < 15:
                    size = np.uint64(zeros)
                    run = np.int64((_ONE << size) | (bits >> _ONE >> (FULL - size)))
                    zeros = 64
                bits <<= size
                count -= size
            # Pass over that many zeros, with a bit for each coefficient that is not zero.
            while k <= end:
                known = np.int64(planes[k, block])
                if known == 0:
                    if zeros == 0:
                        break
                    zeros -= 1
                else:
                    if count < _FEW:
                        bits |= load(stream, at) >> count
                        at += (FULL - count) >> THREE
                        count |= FILLED
                    if bits >> FULL and (known & one) == 0:
                        planes[k, block] = known + one if known > 0 else known - one
                    bits <<= _ONE
                    count -= _ONE
                k += 1
            if k <= end:
                planes[k, block] = value
            elif value != 0:
                faults[TOO_MANY] += 1
                return
            k += 1
        if run > 0:
            run -= 1
        if at - (count >> THREE) > np.uint64(data_end):
            faults[ENDS_EARLY] += 1
            return
    faults[TOO_MANY] += run > 0
    faults[LEFT_OVER] += at - (count >> THREE) < np.uint64(data_end)

"""Entropy coding in two steps: coefficients to tokens, which are counted, and tokens to bits.

A token is a symbol of one of the Huffman tables with its value bits: bits 24-25 hold the table, 16-23 the symbol, 0-15
the value bits, as many as the symbol's low four bits say. Source: ITU-T T.81 F.1.2 (encoding of DC and AC
coefficients), A.2 (order of blocks), B.1.1.5 (byte stuffing).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache.jpeg.bit_counts import leading_zeros, trailing_zeros

Integer: TypeAlias = int | np.int64

TABLES: Final = 4
"""DC tables 0 and 1, then AC tables 0 and 1."""

DC_BITS: Final = 11
AC_BITS: Final = 10
"""Longest values of 8-bit images: T.81 tables F.1 and F.2."""

RUN_OF_16: Final = 0xF0
MOST_EXTRA: Final = 5
"""Tokens of a block besides one for each AC coefficient: DC, end of block, three runs of 16 zeros."""

_CHUNK: Final = 4096


@kernel
def find_nonzero(
    planes: npt.NDArray[np.int16], offset: int, n_blocks: int, first: int, masks: npt.NDArray[np.int64]
) -> Integer:
    """Say which AC coefficients of a component are not zero.

    Parameters
    ----------
    planes : (n,) int16
        Components one after the other, each (64, blocks), zigzag order.
    offset, n_blocks : int
        Where the component starts, and its blocks.
    first : int
        Where its blocks start in `masks`.
    masks : (blocks,) int64
        Filled in place: bit k of a block is set where its coefficient k is not zero, k from 1.

    Returns
    -------
    int
        How many are not zero.
    """
    total: Integer = 0
    for start in range(0, n_blocks, _CHUNK):  # so that the masks stay in the cache from one plane to the next
        size = min(_CHUNK, n_blocks - start)
        part = masks[first + start : first + start + size]
        part[:] = 0
        for k in range(1, 64):
            at = offset + k * n_blocks + start
            plane = planes[at : at + size]
            for i in range(size):
                found = np.int64(plane[i] != 0)
                part[i] |= found << k
                total += found
    return total


@kernel
def make_tokens(
    planes: npt.NDArray[np.int16],
    masks: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    mcu_rows: int,
    mcu_cols: int,
    tokens: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int64],
    fault: npt.NDArray[np.int64],
) -> Integer:
    """Turn the blocks of one scan into tokens.

    Parameters
    ----------
    planes, masks : arrays
        As for :func:`find_nonzero`.
    units : (blocks in an MCU, 10) int64
        For each block of an MCU: where its component starts in `planes` and in `masks`; the component's block rows and
        columns; rows and columns of its blocks in an MCU; its own row and column among them; its Huffman tables (0 or
        1); the component.
    mcu_rows, mcu_cols : int
        Grid of MCUs.
    tokens : (at least ``MOST_EXTRA`` a block and one a coefficient,) uint32
        Filled in place.
    counts : (TABLES * 256,) int64
        How often each symbol of each table occurs: counted up in place.
    fault : (5,) int64
        Filled in place for the first value that cannot be coded: component, block row, block column, zigzag position,
        value or difference.

    Returns
    -------
    int
        Number of tokens; -1 where a value cannot be coded.
    """
    predictions = np.zeros(4, dtype=np.int64)
    n = np.uint64(0)
    one = np.uint64(1)
    for mcu in range(mcu_rows * mcu_cols):
        mcu_row, mcu_col = mcu // mcu_cols, mcu % mcu_cols
        for u in range(len(units)):
            row = mcu_row * units[u, 4] + units[u, 6]
            col = mcu_col * units[u, 5] + units[u, 7]
            dc_table, component = units[u, 8], units[u, 9]
            ac_table = dc_table + 2
            if row >= units[u, 2] or col >= units[u, 3]:
                # A block that only completes the MCU: the DC before it again, and nothing else, costs least.
                tokens[n] = dc_table << 24
                tokens[n + one] = ac_table << 24
                n += np.uint64(2)
                counts[dc_table << 8] += 1
                counts[ac_table << 8] += 1
                continue
            block = row * units[u, 3] + col
            stride = np.uint64(units[u, 2] * units[u, 3])
            place = np.uint64(units[u, 0] + block)
            value = np.int64(planes[place]) - predictions[component]
            predictions[component] += value
            size = 64 - leading_zeros(abs(value))
            if size > DC_BITS:
                fault[0], fault[1], fault[2], fault[3], fault[4] = component, row, col, 0, value
                return -1
            key = dc_table << 8 | size
            counts[key] += 1
            tokens[n] = key << 16 | ((value + (value >> 63)) & ((1 << size) - 1))
            n += one
            mask = masks[np.uint64(units[u, 1] + block)]
            last = 0
            while mask != 0:
                k = trailing_zeros(mask)
                mask &= mask - 1
                run = k - last - 1
                last = k
                while run > 15:
                    key = ac_table << 8 | RUN_OF_16
                    counts[key] += 1
                    tokens[n] = key << 16
                    n += one
                    run -= 16
                value = np.int64(planes[place + stride * np.uint64(k)])
                size = 64 - leading_zeros(abs(value))
                if size > AC_BITS:
                    fault[0], fault[1], fault[2], fault[3], fault[4] = component, row, col, k, value
                    return -1
                key = ac_table << 8 | run << 4 | size
                counts[key] += 1
                tokens[n] = key << 16 | ((value + (value >> 63)) & ((1 << size) - 1))
                n += one
            if last < 63:
                counts[ac_table << 8] += 1
                tokens[n] = ac_table << 24
                n += one
    return np.int64(n)


@kernel
def write_bits(tokens: npt.NDArray[np.uint32], codes: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> Integer:
    """Write tokens as entropy-coded data, with stuffed bytes, filled up with ones to a whole byte.

    Parameters
    ----------
    tokens : (tokens,) uint32
        Of one scan.
    codes : (TABLES * 256,) int64
        As :func:`freqcache.jpeg.optimal.optimal_codes` makes them.
    out : (n,) uint8
        Filled in place; has room for twice the bits, rounded up to four bytes.

    Returns
    -------
    int
        Number of bytes written.
    """
    bits, count, at = np.int64(0), np.int64(0), np.uint64(0)
    one = np.uint64(1)
    for i in range(len(tokens)):
        token = np.int64(tokens[i])
        entry = codes[np.uint64(token >> 16)]
        size = token >> 16 & 15
        bits = (bits << (entry & 31) | entry >> 5) << size | (token & 0xFFFF)
        count += (entry & 31) + size
        if count >= 32:
            count -= 32
            word = bits >> count & 0xFFFFFFFF
            inverted = ~word & 0xFFFFFFFF
            if (inverted - 0x01010101) & ~inverted & 0x80808080 == 0:
                out[at] = word >> 24
                out[at + one] = word >> 16 & 255
                out[at + np.uint64(2)] = word >> 8 & 255
                out[at + np.uint64(3)] = word & 255
                at += np.uint64(4)
            else:
                for shift in (24, 16, 8, 0):
                    byte = word >> shift & 255
                    out[at] = byte
                    at += one
                    if byte == 255:
                        out[at] = 0
                        at += one
    spare = -count % 8
    bits = bits << spare | ((1 << spare) - 1)
    count += spare
    while count > 0:
        count -= 8
        byte = bits >> count & 255
        out[at] = byte
        at += one
        if byte == 255:
            out[at] = 0
            at += one
    return np.int64(at)

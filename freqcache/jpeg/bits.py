"""The bit buffer and the codes, as all decoding kernels read them.

A kernel keeps three numbers: ``at``, the next byte to load; ``bits``, 64 bits with the next one on top; ``count``,
how many of them are valid. To refill::

    bits |= load(stream, at) >> count
    at += (FULL - count) >> THREE
    count |= FILLED

leaves at least 56 valid bits without a branch. Source: ITU-T T.81 F.2.2.1 to F.2.2.4.

Numba does not notice here that the kernels which call these functions need to be compiled anew: whoever changes this
module must touch theirs.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.compiled import inlined
from freqcache.jpeg.huffman import ADDEND, END_OF_BLOCK, LONG, LOOK_BITS, PARTIAL, SYMBOLS, TOO_LARGE

Integer: TypeAlias = int | np.int64
"""Kernels compute in int64."""

BAD_CODE: Final = 0
ENDS_EARLY: Final = 1
LEFT_OVER: Final = 2
TOO_MANY: Final = 3
OUT_OF_RANGE: Final = 4
FAULTS: Final = 5
"""Length of a fault counter; the names above are its places."""

LOOK: Final = np.uint64(64 - LOOK_BITS)
"""Shift that leaves the index into a lookup table."""

LENGTH: Final = np.uint64(63)
"""Mask of an entry's number of bits."""

THREE: Final = np.uint64(3)
FULL: Final = np.uint64(63)
FILLED: Final = np.uint64(56)


@inlined
def load(stream: npt.NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Return eight bytes as one number, the first on top; the compiler makes one instruction of it."""
    return (
        np.uint64(stream[at]) << np.uint64(56)
        | np.uint64(stream[at + np.uint64(1)]) << np.uint64(48)
        | np.uint64(stream[at + np.uint64(2)]) << np.uint64(40)
        | np.uint64(stream[at + np.uint64(3)]) << np.uint64(32)
        | np.uint64(stream[at + np.uint64(4)]) << np.uint64(24)
        | np.uint64(stream[at + np.uint64(5)]) << np.uint64(16)
        | np.uint64(stream[at + np.uint64(6)]) << np.uint64(8)
        | np.uint64(stream[at + np.uint64(7)])
    )


@inlined
def skip_of(entry: Integer) -> Integer:
    """Return the skip of an entry of a lookup table."""
    return (entry >> 6) & 127


@inlined
def long_entry(bits: np.uint64, tables: npt.NDArray[np.int32], table: np.uint64) -> Integer:
    """Look up a code of more than LOOK_BITS bits.

    Parameters
    ----------
    bits : np.uint64
        The bit buffer, with at least 16 valid bits.
    tables : (n,) int32
        Lookup tables.
    table : np.uint64
        Where the table begins.

    Returns
    -------
    int
        An entry as a lookup table has them: ``PARTIAL``; or ``LONG`` where there is no such code.
    """
    code = np.int64(bits >> np.uint64(48))
    length = LOOK_BITS + 1
    while length <= 16 and code >= tables[table + np.uint64(TOO_LARGE + length)]:
        length += 1
    entry: Integer = LONG << 6
    if length <= 16:
        place = (code >> (16 - length)) + tables[table + np.uint64(ADDEND + length)]
        symbol = np.int64(tables[table + np.uint64(SYMBOLS + (place & 255))])
        entry = length | PARTIAL << 6 | symbol << 16
    return entry


@inlined
def finish_symbol(entry: Integer, bits: np.uint64, count: np.uint64) -> tuple[np.uint64, np.uint64, Integer, Integer]:
    """Take the code of an entry and the value bits that follow it.

    This takes no array: Numba would count references to it at every call.

    Parameters
    ----------
    entry : int
        Entry of a lookup table.
    bits, count : np.uint64
        The bit buffer, with at least 31 valid bits.

    Returns
    -------
    bits, count : np.uint64
        The bit buffer after it.
    skip : int
        Zeros before the coefficient, 0..15; or ``END_OF_BLOCK`` plus 0..14, the size of a run; or ``LONG``, as it came.
    value : int
        The coefficient (T.81 F.2.2.1, EXTEND); 0 where there is none.
    """
    bits <<= np.uint64(entry) & LENGTH
    count -= np.uint64(entry) & LENGTH
    value: Integer = np.int64(entry >> 16)
    skip = skip_of(entry)
    if END_OF_BLOCK <= skip < LONG:
        size = value & 15
        skip = value >> 4
        value = np.int64(0)
        if size > 0:
            value = np.int64(bits >> np.uint64(64 - size))
            if value < np.int64(1) << (size - 1):
                value += 1 - (np.int64(1) << size)
            bits <<= np.uint64(size)
            count -= np.uint64(size)
        elif skip < 15:
            skip += END_OF_BLOCK
    return bits, count, skip, value

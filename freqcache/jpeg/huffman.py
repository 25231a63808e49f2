"""Huffman tables: checked, and turned into lookup tables for the kernels.

Source: ITU-T T.81 annex C (codes from lengths).

A lookup table is one row of int32, made for the decoding kernels:

- ``[0, 2048)``: by the next 11 bits. Bits 0-5 hold the number of bits taken, bits 6-12 the *skip*, bits 16-31 the
  signed value. A skip of 0..15 is a run of zeros before a coefficient whose value is complete: code and value
  together had at most 11 bits. Otherwise the skip is one of ``END_OF_BLOCK`` (or of band), ``PARTIAL`` (only the
  code was taken; bits 16-23 hold its symbol) or ``LONG`` (the code has more than 11 bits, or there is no such code).
- ``[2048, 2048 + 17)``: for code lengths 1..16, the first code that is too large, left-aligned to 16 bits.
- ``[2065, 2065 + 17)``: what to add to a code of this length for its symbol's position.
- ``[2082, 2082 + 256)``: the symbols.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel
from freqcache.errors import CorruptImageError

LOOK_BITS: Final = 11
"""Bits that index a lookup table's first part."""

TOO_LARGE: Final = 1 << LOOK_BITS
"""Where the comparison values of long codes begin."""

ADDEND: Final = TOO_LARGE + 17
"""Where the symbol offsets begin."""

SYMBOLS: Final = ADDEND + 17
"""Where the symbols begin."""

ROW: Final = SYMBOLS + 256
"""Length of a lookup table."""

END_OF_BLOCK: Final = 64
"""Skip of a code that ends a block."""

PARTIAL: Final = 80
"""Skip of a code whose value bits are still to be read."""

LONG: Final = 96
"""Skip where the first bits do not decide."""

DC: Final = 0
"""Symbols are sizes of differences."""

AC: Final = 1
"""Symbols are run and size; value bits are looked up too."""

AC_FIRST: Final = 2
"""As ``AC``, but a size of 0 with a run under 15 is the end of a run of bands: its symbol is looked up."""

AC_REFINEMENT: Final = 3
"""Symbols are run and size; only they are looked up."""


def fill_lookup(coded: bytes, kind: int, row: npt.NDArray[np.int32]) -> None:
    """Check a table and write its lookup table.

    Parameters
    ----------
    coded : bytes
        16 counts by code length, then the symbols.
    kind : int
        ``DC``, ``AC``, ``AC_FIRST`` or ``AC_REFINEMENT``.
    row : (ROW,) int32
        Filled in place.

    Raises
    ------
    CorruptImageError
        The counts ask for more codes than there are, or a DC symbol is over 15.
    """
    fault = _fill(np.frombuffer(coded, dtype=np.uint8), kind, row)
    if fault == _BAD_SYMBOL:
        msg = f"a DC Huffman table has the symbol {max(coded[16:])}, expected at most 15"
        raise CorruptImageError(msg)
    if fault:
        msg = f"a Huffman table has too many codes of {fault} bits"
        raise CorruptImageError(msg)


_BAD_SYMBOL: Final = 17


@kernel
def _fill(table: npt.NDArray[np.uint8], kind: int, row: npt.NDArray[np.int32]) -> int:
    """Fill `row`; return 0, or a code length of which there are too many, or ``_BAD_SYMBOL``."""
    row[: 1 << LOOK_BITS] = LONG << 6
    code = 0
    position = 0
    for length in range(1, 17):
        count = np.int64(table[length - 1])
        # Codes of all ones are reserved (T.81 C.2).
        if count > 0 and code + count >= 1 << length:
            return length
        row[ADDEND + length] = position - code
        for _ in range(count):
            symbol = np.int64(table[16 + position])
            if kind == DC and symbol > 15:
                return _BAD_SYMBOL
            row[SYMBOLS + position] = symbol
            if length <= LOOK_BITS:
                spare = LOOK_BITS - length
                start = code << spare
                size = symbol & 15
                run = symbol >> 4
                if kind == AC and size == 0 and run < 15:
                    row[start : start + (1 << spare)] = length | END_OF_BLOCK << 6
                elif size <= spare and kind != AC_REFINEMENT and (size > 0 or run == 15 or kind == DC):
                    # A run of 15 without a value is 16 zeros: writing the last of them does no harm.
                    for i in range(1 << spare):
                        value = i >> (spare - size)
                        if size > 0 and value < 1 << (size - 1):
                            value = value - (1 << size) + 1
                        row[start + i] = (length + size) | run << 6 | value << 16
                else:
                    row[start : start + (1 << spare)] = length | PARTIAL << 6 | symbol << 16
            code += 1
            position += 1
        row[TOO_LARGE + length] = code << (16 - length)
        code <<= 1
    row[SYMBOLS + position : ROW] = 0
    return 0

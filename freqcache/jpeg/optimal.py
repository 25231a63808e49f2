"""Huffman codes that suit an image: the lengths from how often each symbol occurs, then the codes.

Source: ITU-T T.81 K.2 (lengths, at most 16 bits, no code of all ones) and annex C (codes from lengths). Ties are broken
as K.2 says, so that equal counts give equal codes. Reading codes is :mod:`freqcache.jpeg.huffman`'s.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel

SYMBOLS: Final = 256
LONGEST: Final = 16
"""Bits of the longest code that a file may have."""

_RESERVED: Final = SYMBOLS
"""A symbol that never occurs: it takes the code of all ones, and is dropped."""


@kernel
def optimal_codes(counts: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], coded: npt.NDArray[np.uint8]) -> int:
    """Make the code of one table.

    Parameters
    ----------
    counts : (256,) int64
        How often each symbol occurs; at least one does.
    codes : (256,) int64
        Filled in place for the symbols that occur: the code times 32, plus its length.
    coded : (16 + 256,) uint8
        Filled in place as a DHT segment has it: 16 counts by code length, then the symbols.

    Returns
    -------
    int
        Number of symbols in `coded`.
    """
    lengths = _lengths(counts)
    of_length = np.zeros(SYMBOLS + 2, dtype=np.int64)
    for symbol in range(SYMBOLS + 1):
        if lengths[symbol] > 0:
            of_length[lengths[symbol]] += 1
    _limit(of_length)
    position = 16
    for length in range(1, SYMBOLS + 2):
        for symbol in range(SYMBOLS):
            if lengths[symbol] == length:
                coded[position] = symbol
                position += 1
    code, place = 0, 16
    for length in range(1, LONGEST + 1):
        coded[length - 1] = of_length[length]
        for _ in range(of_length[length]):
            codes[coded[place]] = code << 5 | length
            code += 1
            place += 1
        code <<= 1
    return position - 16


@kernel
def _lengths(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Code lengths of an unlimited Huffman code, (257,): T.81 figure K.1."""
    lengths = np.zeros(SYMBOLS + 1, dtype=np.int64)
    following = np.full(SYMBOLS + 1, -1, dtype=np.int64)
    heads = np.empty(SYMBOLS + 1, dtype=np.int64)
    weights = np.empty(SYMBOLS + 1, dtype=np.int64)
    n = 0
    for symbol in range(SYMBOLS):
        if counts[symbol] > 0:
            heads[n], weights[n] = symbol, counts[symbol]
            n += 1
    heads[n], weights[n] = _RESERVED, 1
    n += 1
    while n > 1:
        # The two lightest; of equals, the one with the larger symbol first.
        least, second = -1, -1
        for i in range(n):
            if least < 0 or weights[i] <= weights[least]:
                least, second = i, least
            elif second < 0 or weights[i] <= weights[second]:
                second = i
        end = heads[least]
        lengths[end] += 1
        while following[end] >= 0:
            end = following[end]
            lengths[end] += 1
        following[end] = heads[second]
        end = heads[second]
        lengths[end] += 1
        while following[end] >= 0:
            end = following[end]
            lengths[end] += 1
        weights[least] += weights[second]
        n -= 1
        # Kept in the order of their first symbols, on which ties are broken.
        for i in range(second, n):
            heads[i], weights[i] = heads[i + 1], weights[i + 1]
    return lengths


@kernel
def _limit(of_length: npt.NDArray[np.int64]) -> None:
    """Bring the numbers of codes by length down to 16 bits, and drop the reserved one: T.81 figure K.3."""
    for length in range(len(of_length) - 1, LONGEST, -1):
        while of_length[length] > 0:
            shorter = length - 2
            while of_length[shorter] == 0:
                shorter -= 1
            of_length[length] -= 2
            of_length[length - 1] += 1
            of_length[shorter + 1] += 2
            of_length[shorter] -= 1
    longest = LONGEST
    while of_length[longest] == 0:
        longest -= 1
    of_length[longest] -= 1

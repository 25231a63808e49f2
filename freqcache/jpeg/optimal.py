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
    longest = 0
    of_length = np.zeros(SYMBOLS + 2, dtype=np.int64)
    for symbol in range(SYMBOLS + 1):
        if lengths[symbol] > 0:
            of_length[lengths[symbol]] += 1
            longest = max(longest, lengths[symbol])
    _limit(of_length)
    position = 16
    for length in range(1, longest + 1):
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
    # Trees, each as weight * 512 + 256 - its first symbol, the lightest last; of equals, the larger symbol last.
    trees = np.empty(SYMBOLS + 1, dtype=np.int64)
    trees[0] = 1 << 9 | (SYMBOLS - _RESERVED)
    n = 1
    for symbol in range(SYMBOLS):
        if counts[symbol] > 0:
            _insert(trees, n, counts[symbol] << 9 | (SYMBOLS - symbol))
            n += 1
    while n > 1:
        least, second = trees[n - 1], trees[n - 2]
        end = SYMBOLS - (least & 511)
        lengths[end] += 1
        while following[end] >= 0:
            end = following[end]
            lengths[end] += 1
        following[end] = SYMBOLS - (second & 511)
        end = following[end]
        lengths[end] += 1
        while following[end] >= 0:
            end = following[end]
            lengths[end] += 1
        n -= 2
        _insert(trees, n, least + (second >> 9 << 9))
        n += 1
    return lengths


@kernel
def _insert(trees: npt.NDArray[np.int64], n: int, tree: int) -> None:
    """Put a tree among `n` that fall, in its order."""
    place = n
    while place > 0 and trees[place - 1] < tree:
        trees[place] = trees[place - 1]
        place -= 1
    trees[place] = tree


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

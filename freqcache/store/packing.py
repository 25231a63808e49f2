"""Keeps a chunk of a per-sample array small in memory, exactly, and gives rows of it by their numbers.

Quantization tables, sampling factors and grids of blocks repeat from sample to sample: the different rows are kept
once, with a number for each sample. Other integers are kept in fewer bytes, as differences from the smallest. Which of
the two, or neither, is the smaller of them. Fetching chunks is :mod:`freqcache.store.rows`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.compiled import kernel

_FEW: Final = 4096
"""Rows that are kept as they are: there is little to save, and reading them is fastest."""

_SHARE: Final = 8
"""Rows of a table, at most, as a share of all: one in so many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows that repeat.

    Attributes
    ----------
    different : (different, ...) array
        Each of them once.
    numbers : (rows,) uint8 or uint16
        Which of them a row is.
    """

    different: npt.NDArray[Any]
    numbers: npt.NDArray[np.unsignedinteger[Any]]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.different.nbytes + self.numbers.nbytes

    def take(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return some rows."""
        found: npt.NDArray[Any] = self.different[self.numbers[rows]]
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Narrow:
    """Integers of a small range.

    Attributes
    ----------
    least : array of a row's shape
        The smallest of each column.
    above : (rows, ...) unsigned
        How much more each is.
    """

    least: npt.NDArray[Any]
    above: npt.NDArray[np.unsignedinteger[Any]]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.least.nbytes + self.above.nbytes

    def take(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return some rows."""
        found: npt.NDArray[Any] = np.add(self.above[rows], self.least, dtype=self.least.dtype, casting="unsafe")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Plain:
    """Rows as they are.

    Attributes
    ----------
    rows : (rows, ...) array
    """

    rows: npt.NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.rows.nbytes

    def take(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return some rows."""
        return self.rows[rows]


Packed: TypeAlias = Plain | Table | Narrow


def pack(rows: npt.NDArray[Any]) -> Packed:
    """Return rows in a form that gives the same values from less memory.

    Parameters
    ----------
    rows : (rows, ...) array of integers
        May be kept as it is.
    """
    if len(rows) <= _FEW or rows[0].nbytes == 1:
        return Plain(rows=rows)
    forms = [form for form in (_narrow(rows), _table(rows)) if form is not None and form.nbytes < rows.nbytes]
    if forms:
        return min(forms, key=lambda form: form.nbytes)  # the first of two of a size, which is the faster
    return Plain(rows=rows)


def _narrow(rows: npt.NDArray[Any]) -> Narrow | None:
    least, most = rows.min(axis=0), rows.max(axis=0)
    spread = max(b - a for a, b in zip(least.ravel().tolist(), most.ravel().tolist(), strict=True))
    for dtype in (np.uint8, np.uint16, np.uint32):
        if spread <= np.iinfo(dtype).max and np.dtype(dtype).itemsize < rows.itemsize:
            return Narrow(least=least, above=(rows - least).astype(dtype))
    return None


def _table(rows: npt.NDArray[Any]) -> Table | None:
    most = min(len(rows) // _SHARE, 1 << 16)
    octets = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    if octets.shape[1] % 8:
        octets = np.pad(octets, ((0, 0), (0, -octets.shape[1] % 8)))
    words = octets.view(np.uint64)
    numbers, firsts = np.empty(len(rows), dtype=np.uint16), np.empty(most, dtype=np.int64)
    size = 1 << (4 * most).bit_length()
    count = number_rows(words, np.full(size, -1, dtype=np.int64), numbers, firsts)
    if count < 0:
        return None
    return Table(different=rows[firsts[:count]], numbers=numbers.astype(np.uint8) if count <= 256 else numbers)


@kernel
def number_rows(
    words: npt.NDArray[np.uint64],
    places: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.uint16],
    firsts: npt.NDArray[np.int64],
) -> int:
    """Put a number on each different row, in their order; return how many there are, or -1 for too many.

    Parameters
    ----------
    words : (rows, words) uint64
        The rows.
    places : (a power of two,) int64
        Work space, all -1; longer than `firsts`.
    numbers : (rows,) uint16
        Gets the number of each row.
    firsts : (most,) int64
        Gets the first row of each number; as many as there may be.
    """
    count = 0
    last = np.uint64(len(places) - 1)
    for row in range(len(words)):
        mixed = np.uint64(0x9E3779B97F4A7C15)
        for word in words[row]:
            mixed = (mixed ^ word) * np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(31)
        place = mixed & last
        while places[place] >= 0:
            first = firsts[places[place]]
            same = True
            for i in range(words.shape[1]):
                if words[row, i] != words[first, i]:
                    same = False
                    break
            if same:
                break
            place = (place + np.uint64(1)) & last
        if places[place] < 0:
            if count == len(firsts):
                return -1
            places[place] = count
            firsts[count] = row
            count += 1
        numbers[row] = places[place]
    return count

"""Rows of numbers, each with some text of its own, appended once and read again in pieces.

A row's dtype has the fields ``start`` and ``length``: where its text lies. What the text means, and how several are
told apart in it, is the affair of who appends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from freqcache.scratch.pieces import Scratch

CHUNK_ROWS: Final = 8192
"""Rows read at a time where all are read."""


class Chunk(NamedTuple):
    """Some rows, and the text of all of them, in order and without gaps.

    Attributes
    ----------
    rows : (n,) structured array
        Their ``length`` says how much of the text each has; their ``start`` is that in the table, if they are of one.
    text : bytes
    """

    rows: npt.NDArray[Any]
    text: bytes

    def bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return where in `text` each row's begins and ends, (n,) each."""
        ends = np.cumsum(self.rows["length"], dtype=np.int64)
        return ends - self.rows["length"], ends

    def taken(self, numbers: npt.NDArray[np.intp]) -> Chunk:
        """Return some of the rows, in the order of `numbers`."""
        rows = self.rows[numbers]
        if not self.text:
            return Chunk(rows, b"")
        starts, ends = self.bounds()
        places = zip(starts[numbers].tolist(), ends[numbers].tolist(), strict=True)
        return Chunk(rows, b"".join([self.text[start:end] for start, end in places]))


class RowTable:
    """Rows with text.

    Parameters
    ----------
    dtype : numpy dtype
        Structured, with int ``start`` (8 bytes) and ``length``.
    folder : Path, optional
        For temporary files: see :class:`Scratch`.
    held : int, optional
        Bytes of rows, and of text, that are kept in memory.
    """

    def __init__(self, dtype: np.dtype[Any], folder: Path | None = None, *, held: int | None = None) -> None:
        self.dtype = dtype
        self._rows, self._text = Scratch(folder, held=held), Scratch(folder, held=held)

    def __len__(self) -> int:
        return len(self._rows) // self.dtype.itemsize

    def append(self, chunk: Chunk) -> None:
        """Append rows.

        Raises
        ------
        BuildError
            If a temporary file cannot be written.
        """
        starts, _ = chunk.bounds()
        rows = chunk.rows.astype(self.dtype)  # a copy
        rows["start"] = starts + len(self._text)
        self._rows.append(rows.tobytes())
        self._text.append(chunk.text)

    def read(self, first: int, last: int) -> Chunk:
        """Return rows `first` to `last`, the latter not included; fewer at the end."""
        size = self.dtype.itemsize
        rows = np.frombuffer(self._rows.read(first * size, max(0, last - first) * size), dtype=self.dtype)
        if not len(rows):
            return Chunk(rows, b"")
        start = int(rows["start"][0])
        return Chunk(rows, self._text.read(start, int(rows["start"][-1] + rows["length"][-1]) - start))

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """Yield all rows in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self.read(first, first + size)

    def close(self) -> None:
        """Give up the rows and their files."""
        self._rows.close()
        self._text.close()


def regrouped(chunks: Iterable[Chunk], size: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Yield the same rows in chunks of at least `size`, but for the last."""
    held: list[Chunk] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += len(chunk.rows)
        if count >= size:
            yield _joined(held)
            held, count = [], 0
    if count:
        yield _joined(held)


def _joined(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(np.concatenate([chunk.rows for chunk in chunks]), b"".join([chunk.text for chunk in chunks]))

"""Tells names that come a second time: at once among the first that come, at the end among any number.

At the end means after a sort by hashes of 128 bits; equal hashes are taken for equal names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xxhash

from freqcache.scratch import CHUNK_ROWS, NUMBERED, Chunk, RowTable, keys_of, sorted_rows
from freqcache.sources.table import encoded

_AT_ONCE: Final = 1 << 18
"""Names that are held to be compared with every later one: some 50 MB."""


class Repeat(NamedTuple):
    """A name that came twice.

    Attributes
    ----------
    name : str
        As it was shown the second time.
    first, second : int
        The numbers it came under.
    """

    name: str
    first: int
    second: int


class Names:
    """The names that came so far.

    Parameters
    ----------
    folder : Path, optional
        For temporary files: see :class:`freqcache.scratch.Scratch`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._early: dict[str, int] = {}
        self._pending: list[tuple[bytes, int, bytes]] = []
        self._rows = RowTable(NUMBERED, folder)

    def add(self, name: str, number: int, shown: str | None = None) -> int | None:
        """Add a name; return the number that it came under before, if that can be told at once.

        Parameters
        ----------
        name : str
            What is compared.
        number : int
            Of its row or item, increasing.
        shown : str, optional
            What messages call it; the name by default.
        """
        before = self._early.get(name)
        if before is not None:
            return before
        if len(self._early) < _AT_ONCE:
            self._early[name] = number
        text = encoded(name)
        self._pending.append((xxhash.xxh3_128_digest(text), number, text if shown is None else encoded(shown)))
        if len(self._pending) == CHUNK_ROWS:
            self._flush()
        return None

    def repeat(self) -> Repeat | None:
        """Return, after all names came, the first that came for the second time; None if all are different.

        Raises
        ------
        BuildError
            If a temporary file cannot be used.
        """
        self._flush()
        if len(self._rows) <= _AT_ONCE:  # so few that all were compared at once
            return None
        ordered = sorted_rows(self._rows.chunks(), len(self._rows), NUMBERED, self._folder)
        self._rows.close()
        found = min(_repeats(ordered), key=lambda repeat: repeat.second, default=None)
        ordered.close()
        return found

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = np.zeros(len(self._pending), dtype=NUMBERED)
        rows["key"] = keys_of([digest for digest, _, _ in self._pending])
        rows["number"] = [number for _, number, _ in self._pending]
        rows["length"] = [len(text) for _, _, text in self._pending]
        self._rows.append(Chunk(rows, b"".join([text for _, _, text in self._pending])))
        self._pending = []


def _repeats(ordered: RowTable) -> Iterator[Repeat]:
    """Yield every two neighbours of equal keys; a chunk begins with the last row of the one before."""
    for first in range(0, len(ordered), CHUNK_ROWS):
        chunk = ordered.read(max(0, first - 1), first + CHUNK_ROWS)
        same = (chunk.rows["key"][1:] == chunk.rows["key"][:-1]).all(axis=1)
        starts, ends = chunk.bounds()
        for place in (np.flatnonzero(same) + 1).tolist():
            name = chunk.text[starts[place] : ends[place]].decode("utf-8", "surrogateescape")
            yield Repeat(name, int(chunk.rows["number"][place - 1]), int(chunk.rows["number"][place]))

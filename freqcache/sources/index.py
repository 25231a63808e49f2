"""Finds a file of a source by its name: a table of hashes of the names, sorted, made when it is first asked for.

Of ten million names it takes 440 MB of a temporary file and 160 kB of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import xxhash

from freqcache.scratch import CHUNK_ROWS, NUMBERED, Chunk, keys_of, sorted_rows
from freqcache.sources.file import SourceFile
from freqcache.sources.table import AllFiles, encoded, encoded_paths

_PAGE: Final = 512
"""Rows read at a time where a name is looked up."""


class PathIndex:
    """The numbers of files by their paths.

    Parameters
    ----------
    splits : dict of str to sequence of SourceFile
        As of a :class:`freqcache.sources.SourceTree`.
    folder : Path, optional
        For a temporary file: see :class:`freqcache.scratch.Scratch`.

    Raises
    ------
    BuildError
        If the temporary file cannot be written.
    """

    def __init__(self, splits: Mapping[str, Sequence[SourceFile]], folder: Path | None = None) -> None:
        self._files = AllFiles(splits)
        self._rows = sorted_rows(_hashed(splits), len(self._files), NUMBERED, folder)
        pages = (self._rows.read(first, first + 1).rows for first in range(0, len(self._rows), _PAGE))
        self._first = np.array([rows["key"][0, 0] for rows in pages], dtype=np.uint64)

    def find(self, path: str) -> int | None:
        """Return the number of the file of this path through all splits; of several the last, None without any."""
        try:
            (high, low), *_ = keys_of([_hash(encoded(path))]).tolist()
        except UnicodeEncodeError:  # half a character, which no file's name has
            return None
        found = None
        page = max(0, int(np.searchsorted(self._first, np.uint64(high))) - 1)
        while page < len(self._first) and int(self._first[page]) <= high:
            rows = self._rows.read(page * _PAGE, (page + 1) * _PAGE).rows
            here = np.flatnonzero((rows["key"][:, 0] == high) & (rows["key"][:, 1] == low))
            for number in rows["number"][here].tolist():
                if self._files[number].path == path:
                    found = number
            page += 1
        return found


def _hash(path: bytes) -> bytes:
    return xxhash.xxh3_128_digest(path)


def _hashed(splits: Mapping[str, Sequence[SourceFile]]) -> Iterator[Chunk]:
    digests: list[bytes] = []
    first = 0
    for files in splits.values():
        for path in encoded_paths(files):
            digests.append(_hash(path))
            if len(digests) == CHUNK_ROWS:
                yield _rows(digests, first)
                first, digests = first + len(digests), []
    if digests:
        yield _rows(digests, first)


def _rows(digests: list[bytes], first: int) -> Chunk:
    rows = np.zeros(len(digests), dtype=NUMBERED)
    rows["key"] = keys_of(digests)
    rows["number"] = np.arange(first, first + len(digests))
    return Chunk(rows, b"")

"""Reads a source's files in order, where it pays many at the same time and ahead of whoever uses them.

A request to an object store takes 10 to 50 ms, whatever it asks for; a worker that made one after the other would do
little but wait. Readers that can read many files at once are asked for windows of them, the next one while the last is
worked on. Memory is bounded: two windows. Local files are read one after the other, when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

from freqcache.ahead import ahead
from freqcache.errors import SourceError
from freqcache.portions import portions
from freqcache.sources.tree import SourceFile, SourceReader

_WINDOW_FILES: Final = 64
_WINDOW_BYTES: Final = 32 << 20
"""Files, and bytes if there is more than one file, that are read at the same time."""

_WINDOWS: Final = 2
"""Windows that are held: one that is used, or waited for, and the next."""


@runtime_checkable
class ManyReader(Protocol):
    """A reader that reads several files at the same time."""

    def read_many(self, files: Sequence[SourceFile], length: int = -1) -> list[bytes | SourceError]:
        """Return what :meth:`SourceReader.read` returns of each file, or the SourceError that it would raise.

        Raises
        ------
        BuildError, OSError
            As :meth:`SourceReader.read`.
        """


def read_ahead(reader: SourceReader, files: Iterable[SourceFile], length: int = -1) -> Iterator[bytes | SourceError]:
    """Yield of each file its bytes (or the first `length` of them), or why it cannot be read; in order.

    Raises
    ------
    BuildError, OSError
        As :meth:`SourceReader.read`.
    """
    if not isinstance(reader, ManyReader):
        for file in files:
            yield read_or_error(reader, file, length)
        return
    many = reader

    def bytes_of(file: SourceFile) -> int:
        return file.size if length < 0 else min(length, file.size)

    windows = portions(files, bytes_of, _WINDOW_BYTES, _WINDOW_FILES)
    for window in ahead(lambda window: many.read_many(window, length), windows, _WINDOWS):
        yield from window


def read_or_error(reader: SourceReader, file: SourceFile, length: int = -1) -> bytes | SourceError:
    """Return what :meth:`SourceReader.read` returns, or the SourceError that it raises; other errors it raises too."""
    try:
        return reader.read(file, length)
    except SourceError as error:
        return error

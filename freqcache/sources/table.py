"""The files of a split as a table: what a listing is kept in, so that ten million of them are no burden.

A table takes about 100 bytes a file, in memory while that is little and in a temporary file after. It is a sequence of
:class:`SourceFile`, which are made as they are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np

from freqcache.scratch import CHUNK_ROWS, Chunk, MadeSequence, RowTable
from freqcache.sources.file import SourceFile

FILE_FIELDS: Final = (
    ("path", "<i4"),
    ("container", "<i4"),
    ("label", "<i4"),
    ("size", "<i8"),
    ("seconds", "<i8"),
    ("nanoseconds", "<i4"),
    ("position", "<i8"),
)
"""Of a row: bytes of the path and of the container's name in its text; the time is split, for it may exceed 64 bits."""

FILE_ROW: Final = np.dtype([("start", "<i8"), ("length", "<i4"), *FILE_FIELDS])
"""A row; its text is the path, the container's name and the problem, one after the other."""

_SECOND: Final = 10**9
_PENDING: Final = 1024


class FileTable(MadeSequence[SourceFile]):
    """Files of a split, in order; those that are added before the first is read.

    Parameters
    ----------
    folder : Path, optional
        For temporary files: see ``freqcache.scratch.Scratch``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._table = RowTable(FILE_ROW, folder)
        self._pending: list[tuple[int, ...]] = []
        self._text: list[bytes] = []
        self._labels = np.zeros(0, dtype=np.int32)

    @classmethod
    def of(cls, files: Iterable[SourceFile], folder: Path | None = None) -> FileTable:
        """Return a table of files: themselves, if they are one."""
        if isinstance(files, FileTable):
            return files
        table = cls(folder)
        for file in files:
            table.add_file(file)
        return table

    def add(
        self, path: str, label: int, size: int, mtime_ns: int, container: str = "", position: int = 0, problem: str = ""
    ) -> None:
        """Append a file, given by what :class:`SourceFile` says of it.

        Raises
        ------
        BuildError
            If a temporary file cannot be written.
        """
        texts = (encoded(path), encoded(container), encoded(problem))
        lengths = [len(text) for text in texts]
        self._text += texts
        self._pending.append((0, sum(lengths), *lengths[:2], label, size, *divmod(mtime_ns, _SECOND), position))
        if len(self._pending) >= _PENDING:
            self._flush()

    def add_file(self, file: SourceFile) -> None:
        """Append a file."""
        place = (file.container, file.position)
        self.add(file.path, file.label, file.size, file.mtime_ns, *place, file.problem)

    def relabel(self, labels: Sequence[int]) -> None:
        """Exchange every label that is not -1 for what stands in its place in `labels`."""
        self._labels = np.array([*labels, -1], dtype=np.int32)  # -1 takes the last

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows and their text, in order: :data:`FILE_ROW`."""
        for first in range(0, len(self), CHUNK_ROWS):
            yield self.read(first, first + CHUNK_ROWS)

    def read(self, first: int, last: int) -> Chunk:
        """Return rows `first` to `last`, the latter not included, with their text."""
        self._flush()
        chunk = self._table.read(first, last)
        if not len(self._labels):
            return chunk
        rows = chunk.rows.copy()
        rows["label"] = self._labels[rows["label"]]
        return Chunk(rows, chunk.text)

    def paths(self) -> Iterator[bytes]:
        """Yield the paths, encoded, in order."""
        for chunk in self.chunks():
            yield from paths_of(chunk)

    def __len__(self) -> int:
        return len(self._table) + len(self._pending)

    def __iter__(self) -> Iterator[SourceFile]:
        for chunk in self.chunks():
            yield from files_of(chunk)

    def _made(self, first: int, last: int) -> Iterator[SourceFile]:
        return files_of(self.read(first, last))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (FileTable, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to tuples, and to tables that grew

    def __reduce__(self) -> tuple[type[tuple[SourceFile, ...]], tuple[tuple[SourceFile, ...]]]:
        """Travel to another process as a tuple: those that do are a few files of a source."""
        return tuple, (tuple(self),)

    def _flush(self) -> None:
        if self._pending:
            self._table.append(Chunk(np.array(self._pending, dtype=FILE_ROW), b"".join(self._text)))
            self._pending, self._text = [], []


class AllFiles(MadeSequence[SourceFile]):
    """The files of all splits, one split after the other.

    Parameters
    ----------
    splits : dict of str to sequence of SourceFile
        As of a :class:`freqcache.sources.SourceTree`.
    """

    def __init__(self, splits: Mapping[str, Sequence[SourceFile]]) -> None:
        self._splits = tuple(splits.values())
        *self._begins, self._length = accumulate(map(len, self._splits), initial=0)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[SourceFile]:
        for files in self._splits:
            yield from files

    def _made(self, first: int, last: int) -> Iterator[SourceFile]:
        for files, begin in zip(self._splits, self._begins, strict=True):
            yield from files[max(0, first - begin) : max(0, last - begin)]


def encoded(text: str) -> bytes:
    """Return a name as bytes: those of the file system, where it is from there."""
    return text.encode("utf-8", "surrogateescape")


def encoded_paths(files: Sequence[SourceFile]) -> Iterator[bytes]:
    """Yield the paths of files, encoded, in order."""
    if isinstance(files, FileTable):
        return files.paths()
    return (encoded(file.path) for file in files)


def paths_of(chunk: Chunk) -> list[bytes]:
    """Return the paths of some rows, encoded: of any rows that have the field, and a text that begins with the path."""
    starts, _ = chunk.bounds()
    places = zip(starts.tolist(), (starts + chunk.rows["path"]).tolist(), strict=True)
    return [chunk.text[start:end] for start, end in places]


def files_of(chunk: Chunk) -> Iterator[SourceFile]:
    """Yield the files of some rows: of a table's, or of any that have their fields and their text."""
    rows = chunk.rows
    starts, ends = chunk.bounds()
    paths = starts + rows["path"]
    containers = paths + rows["container"]
    numbers: list[Any] = [rows[name].tolist() for name in ("label", "size", "seconds", "nanoseconds", "position")]
    texts = (bounds.tolist() for bounds in (starts, paths, containers, ends))
    word = _words(chunk.text)
    for start, path, container, end, label, size, seconds, nanoseconds, position in zip(*texts, *numbers, strict=True):
        yield SourceFile(
            path=word(start, path),
            label=label,
            size=size,
            mtime_ns=seconds * _SECOND + nanoseconds,
            container=sys.intern(word(path, container)),
            position=position,
            problem=word(container, end),
        )


def _words(text: bytes) -> Callable[[int, int], str]:
    """Return what decodes a part of `text`."""
    if text.isascii():  # decoded at once
        whole = text.decode("ascii")
        return lambda start, end: whole[start:end]
    return lambda start, end: text[start:end].decode("utf-8", "surrogateescape")

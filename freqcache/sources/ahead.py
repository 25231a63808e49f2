"""Reads a source's files in order, where it pays many at the same time and ahead of whoever uses them.

A request to an object store takes 10 to 50 ms, whatever it asks for; a worker that made one after the other would do
little but wait. Readers that can read many files at once are asked for windows of them, the next one while the last is
worked on. Memory is bounded: two windows. Local files are read one after the other, when they are asked for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol, TypeVar, runtime_checkable

from freqcache.errors import SourceError
from freqcache.sources.tree import SourceFile, SourceReader

Item = TypeVar("Item")
Result = TypeVar("Result")

_WINDOW_FILES: Final = 64
_WINDOW_BYTES: Final = 32 << 20
"""Files, and bytes if there is more than one file, that are read at the same time."""


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
            try:
                yield reader.read(file, length)
            except SourceError as error:
                yield error
        return
    many = reader
    reading: deque[_Reading] = deque()
    for window in _windows(files, length):
        reading.append(_Reading(lambda window=window: many.read_many(window, length)))  # type: ignore[misc]
        if len(reading) > 1:
            yield from reading.popleft().result()
    for last in reading:
        yield from last.result()


class _Reading:
    """A window that is being read. Its thread is nobody's to wait for when the build is interrupted."""

    def __init__(self, read: Callable[[], list[bytes | SourceError]]) -> None:
        self._found: list[bytes | SourceError] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(read,), daemon=True)
        self._thread.start()

    def _run(self, read: Callable[[], list[bytes | SourceError]]) -> None:
        try:
            self._found = read()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error

    def result(self) -> list[bytes | SourceError]:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found


def _windows(files: Iterable[SourceFile], length: int) -> Iterator[list[SourceFile]]:
    window: list[SourceFile] = []
    size = 0
    for file in files:
        wanted = file.size if length < 0 else min(length, file.size)
        if window and (len(window) == _WINDOW_FILES or size + wanted > _WINDOW_BYTES):
            yield window
            window, size = [], 0
        window.append(file)
        size += wanted
    if window:
        yield window

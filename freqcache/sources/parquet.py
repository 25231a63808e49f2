"""Lists and reads the images in Parquet files, as Hugging Face ``datasets`` writes them.

Listing reads the labels, not the images. An image can only be read by decoding its row group from the start, so reading
is quick in the order of rows and slow in any other: a build copies the images into a spool first.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from freqcache.errors import BuildError, SourceError
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import Entry, Listing, assemble
from freqcache.sources.containers import Container, Containers
from freqcache.sources.files import opened_container
from freqcache.sources.huggingface import (
    UNREADABLE,
    Columns,
    classes_of,
    find_columns,
    load_pyarrow,
    row_name,
    same_classes,
)
from freqcache.sources.remote_stream import opened_stream
from freqcache.sources.tree import SourceFile, SourceTree

_BATCH: Final = 32
"""Rows decoded at a time."""

_BUFFER: Final = 1 << 20
"""Bytes of a column read at a time: a row group may be the whole file."""

_LITTLE: Final = 1 << 16
_MUCH: Final = 8 << 20
"""Bytes of a file at a URL that are asked for at a time: while its labels are listed, and while its images are read."""

_open = threading.local()


@dataclass(frozen=True, kw_only=True)
class ParquetReader:
    """Reads images by file and row: see :class:`freqcache.sources.tree.SourceReader`."""

    root: Path | RemotePath

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return an image's bytes, or the first `length` of them."""
        path = self.root / file.container
        rows = getattr(_open, "rows", None)
        if rows is None or (rows.path, rows.mtime_ns) != (path, file.mtime_ns):
            rows = _open.rows = _Rows(path, file.mtime_ns)
        data = rows.read(file.position)
        return data if length < 0 else data[:length]


def list_parquet(containers: Containers, scratch: Path | None = None) -> SourceTree:
    """List the rows of some Parquet files, in order.

    Raises
    ------
    BuildError
        If pyarrow is missing, a file cannot be read, or it has no images, no labels, or other classes than the rest.
    """
    listing = Listing(scratch)
    classes: tuple[str, ...] | None = None
    for number, container in enumerate(containers.found):
        path = containers.root / container.name
        file, columns = _opened(path, container.mtime_ns, _LITTLE)
        classes = same_classes(classes, columns.classes, str(path), first=number == 0)
        for entry in _entries(path, container, file, columns):
            listing.add(container.split, entry)
    return assemble(
        containers.source,
        ParquetReader(root=containers.root),
        listing,
        classes=classes,
        identity=containers.identity,
        sequential=True,
    )


def _entries(path: Path | RemotePath, container: Container, file: Any, columns: Columns) -> Iterator[Entry]:
    wanted = [columns.label, *([columns.path] if columns.path else [])]
    row = 0
    for group in range(file.num_row_groups):
        try:
            table = file.read_row_group(group, columns=wanted)
            table.validate(full=True)
            size = _mean_size(file.metadata.row_group(group), columns.data)
        except UNREADABLE as error:
            msg = f"{path}: row group {group} cannot be read: {error}"
            raise BuildError(msg) from error
        paths = [None] * len(table)
        if columns.path:
            paths = [image and image["path"] for image in table.column(columns.image).to_pylist()]
        for (name, problem), image_path in zip(
            classes_of(table.column(columns.label).to_pylist(), columns.classes), paths, strict=True
        ):
            yield Entry(
                path=row_name(container.name, row, image_path),
                name=name,
                size=size,
                mtime_ns=container.mtime_ns,
                container=container.name,
                position=row,
                problem=problem,
            )
            row += 1


def _opened(path: Path | RemotePath, mtime_ns: int, block: int) -> tuple[Any, Columns]:
    """Open a Parquet file and find its columns; `block` bytes are asked for at a time at a URL."""
    parquet = load_pyarrow("pyarrow.parquet", str(path))
    opening: Any = opened_container(path, mtime_ns) if isinstance(path, Path) else opened_stream(path, mtime_ns, block)
    with opening as stream:
        try:
            # Streamed, not mapped: a mapped file that somebody truncates kills the process that looks at it.
            file = parquet.ParquetFile(
                path if isinstance(path, Path) else stream, buffer_size=_BUFFER, pre_buffer=False
            )
        except UNREADABLE as error:
            msg = f"{path}: is damaged, or no Parquet file: {error}"
            raise BuildError(msg) from error
    return file, find_columns(file.schema_arrow, str(path))


def _mean_size(group: Any, column: str) -> int:
    chunks = (group.column(i) for i in range(group.num_columns))
    total = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == column)
    return int(total // max(1, group.num_rows))


class _Rows:
    """A place in the rows of a Parquet file, which goes on to the next rows at no cost."""

    def __init__(self, path: Path | RemotePath, mtime_ns: int) -> None:
        self.path, self.mtime_ns = path, mtime_ns
        self._file, self._columns = _opened(path, mtime_ns, _MUCH)
        groups = (self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups))
        self._starts = [0, *accumulate(groups)]
        self._group, self._first = -1, 0
        self._batch: Any = None
        self._batches: Iterator[Any] = iter(())

    def read(self, row: int) -> bytes:
        """Return the bytes of the image in a row."""
        group = bisect_right(self._starts, row) - 1
        try:
            if group != self._group or row < self._first:
                self._begin(group)
            while self._batch is None or row >= self._first + len(self._batch):
                self._first += 0 if self._batch is None else len(self._batch)
                self._batch = next(self._batches).column(0)
            value = self._batch[row - self._first].as_py()
        except (*UNREADABLE, StopIteration) as error:
            self._group = -1
            msg = f"cannot be read: {error or 'its row group ends early'}"
            raise SourceError(msg) from error
        data = value["bytes"] if isinstance(value, dict) else value
        if not data:
            msg = "no image in this row" + (" (only a path to a file that is elsewhere)" if value else "")
            raise SourceError(msg)
        return bytes(data)

    def _begin(self, group: int) -> None:
        self._group, self._first, self._batch = group, self._starts[group], None
        # One thread: workers are processes, and decoding is cheap beside what follows.
        self._batches = self._file.iter_batches(
            batch_size=_BATCH, row_groups=[group], columns=[self._columns.data], use_threads=False
        )

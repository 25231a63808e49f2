"""A spool: one temporary file beside a store that images are copied into, one after the other.

Iterables are consumed once, and Parquet files are slow to read anywhere but in order, while a build reads in an order
of its own. The spool takes as many bytes of disk as the images have. It goes when the build ends, however it ends; only
a killed process leaves it, and the next build of the same store begins it again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from freqcache.errors import BuildError, SourceError
from freqcache.locking import lock_file
from freqcache.progress import progress
from freqcache.scratch import scratch_folder
from freqcache.sources.file import SourceFile
from freqcache.sources.files import RangeReader
from freqcache.sources.table import FileTable
from freqcache.sources.tree import SourceReader, SourceTree

_ENDING: Final = ".spool.partial"


class Spool:
    """The spool of a store; the file is made when it is first written to.

    Parameters
    ----------
    store : Path
        Where the store will stand.
    """

    def __init__(self, store: Path) -> None:
        self.path = Path(f"{store}{_ENDING}")
        self._file: BinaryIO | None = None
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)  # before the lock goes with the file
            with suppress(OSError):  # a full disk refuses the last bytes once more; its error is already on its way
                self._file.close()

    @property
    def reader(self) -> RangeReader:
        """Reads what was appended: files with the name of the spool as their container."""
        return RangeReader(root=self.path.parent)

    def append(self, data: bytes) -> int:
        """Append the bytes of an image; return where they lie.

        Raises
        ------
        BuildError
            If the spool cannot be written, or belongs to another build that is running.
        """
        try:
            if self._file is None:
                self._file = self._begin()
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from error
        position = self._length
        self._length += len(data)
        return position

    def flush(self) -> None:
        """Write out what was appended: nothing can be read before.

        Raises
        ------
        BuildError
            If the spool cannot be written.
        """
        try:
            if self._file is None:
                self._file = self._begin()
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _begin(self) -> BinaryIO:
        try:
            descriptor = lock_file(self.path)
        except BlockingIOError:
            msg = f"{self.path}: another build is writing this store"
            raise BuildError(msg) from None
        file = os.fdopen(descriptor, "r+b", buffering=1 << 20)
        file.truncate()
        return file

    def _failure(self, error: OSError) -> BuildError:
        needs = "; it needs as much space as all the images" if error.errno == errno.ENOSPC else ""
        return BuildError(f"{self.path}: cannot be written: {error.strerror}{needs}")


@contextmanager
def temporary_spool() -> Iterator[Spool]:
    """Yield a spool among the system's temporary files (``TMPDIR``), for work that writes nothing beside a store.

    Raises
    ------
    BuildError
        If there is no place for one.
    """
    with scratch_folder() as folder, Spool(folder / "source") as spool:
        yield spool


def left_spool(store: Path) -> Path | None:
    """Return the spool that stands beside a store: of a build that runs, or was killed."""
    path = Spool(store).path
    return path if path.exists() else None


@dataclass(frozen=True, kw_only=True)
class CopiedReader:
    """Reads files that were copied into a spool: see :class:`freqcache.sources.tree.SourceReader`.

    Attributes
    ----------
    copies : RangeReader
        Of the spool.
    unreadable : dict of str to str
        By path, why files could not be copied.
    """

    copies: RangeReader
    unreadable: dict[str, str]

    @property
    def root(self) -> Path:
        """The folder of the spool."""
        return self.copies.root

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        if file.path in self.unreadable:
            raise SourceError(self.unreadable[file.path])
        return self.copies.read(file, length)


def copy_files(
    reader: SourceReader, files: Iterable[SourceFile], spool: Spool, *, quiet: bool
) -> tuple[CopiedReader, dict[str, SourceFile]]:
    """Copy some files of a source into a spool, in the order in which they lie there; return them by path.

    Where a whole source is built, :func:`spooled` copies it.

    Raises
    ------
    BuildError
        If the spool cannot be written, or the source has vanished.
    """
    unreadable: dict[str, str] = {}
    copies: dict[str, SourceFile] = {}
    ordered = sorted(files, key=lambda file: (file.container, file.position))
    with progress(len(ordered), "spooling", quiet=quiet) as bar:
        for file in ordered:
            try:
                copies[file.path] = _in_spool(file, reader.read(file), spool)
            except SourceError as error:
                unreadable[file.path], copies[file.path] = str(error), file
            bar.update(1)
    spool.flush()
    return CopiedReader(copies=spool.reader, unreadable=unreadable), copies


def spooled(tree: SourceTree, spool: Spool, *, quiet: bool) -> SourceTree:
    """Copy the images of a source into a spool, in its order; return the tree that reads them from there.

    An image that cannot be read keeps its place, with the reason as its problem.

    Raises
    ------
    BuildError
        If the spool cannot be written, or the source has vanished.
    """
    copied: dict[str, FileTable] = {}
    with progress(tree.n_files, "spooling", quiet=quiet) as bar:
        for split, files in tree.splits.items():
            copied[split] = FileTable(spool.path.parent)
            for file in files:
                copied[split].add_file(_copied(tree, file, spool))
                bar.update(1)
    spool.flush()
    return replace(tree, reader=spool.reader, splits=copied, sequential=False)


def _copied(tree: SourceTree, file: SourceFile, spool: Spool) -> SourceFile:
    if file.problem:
        return file
    try:
        data = tree.reader.read(file)
    except SourceError as error:
        return replace(file, label=-1, size=0, problem=str(error))
    return _in_spool(file, data, spool)


def _in_spool(file: SourceFile, data: bytes, spool: Spool) -> SourceFile:
    return replace(file, size=len(data), mtime_ns=0, container=spool.path.name, position=spool.append(data))

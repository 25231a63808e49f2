"""What a build reads from: names, classes and splits of the files, and a reader that gives their bytes.

Kinds of sources differ in how they are listed and in their reader; :func:`freqcache.sources.list_source` tells them
apart. Nothing here opens an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from freqcache.remote.paths import RemotePath

UNSPLIT: Final = "all"
"""Name of the only split of a source without split folders."""

SPLITS: Final = ("train", "val", "test", UNSPLIT)
"""Every split that a build can make, in order."""

SPLIT_NAMES: Final[dict[str, str]] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}
"""Words that mean a split (names of folders, of files, in manifests), and the split they mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """One image of the source.

    Attributes
    ----------
    path : str
        Its name in stores and ledgers, unique in the source, with forward slashes: relative to the source folder, or
        what the documentation of the kind of source says (``shard-000003.tar/key.jpg``).
    label : int
        Index into the classes of the tree; -1 where there is a problem.
    size, mtime_ns : int
        Bytes, and time of the last change (of the container, where there is one). In Parquet files the size is a mean.
        At URLs, instead of the time, a number that stands for the version: of the ETag, where the server has one.
    container : str
        The file that holds it, relative to the folder of the reader; empty for files of their own.
    position : int
        Where in the container: a byte, or a row.
    problem : str
        Why it cannot become a sample, as far as the listing tells; it is in the ledger with this reason.
    """

    path: str
    label: int
    size: int
    mtime_ns: int
    container: str = ""
    position: int = 0
    problem: str = ""


class SourceReader(Protocol):
    """Gives the bytes of a source's files. Picklable, and small: it travels with each task to worker processes."""

    @property
    def root(self) -> Path | RemotePath:
        """The folder that containers, or files without one, lie below."""

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them.

        Raises
        ------
        SourceError
            If this file cannot be read.
        BuildError
            If the source as a whole has vanished, or is not what was listed.
        OSError
            If this process has no memory or no descriptor left to read any file.
        """


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """All files of a source.

    Attributes
    ----------
    root : Path or RemotePath
        The source as it was named: a folder, a file, a pattern of files.
    reader : SourceReader
        Gives the files' bytes.
    classes : tuple of str
        Class names by label, over all splits.
    splits : dict of str to tuple of SourceFile
        In the order train, val, test.
    ignored : int
        Files passed over: not named as images, or not in a class folder.
    empty_folders : tuple of str
        Folders in the place of classes that hold no image; they are no classes.
    identity : str
        What tells a changed source from the same besides its files: sizes and times of containers, or a digest.
    sequential : bool
        Whether files are only quick to read in the order of the listing. A build copies them to a spool first.
    """

    root: Path | RemotePath
    reader: SourceReader
    classes: tuple[str, ...]
    splits: dict[str, tuple[SourceFile, ...]]
    ignored: int
    empty_folders: tuple[str, ...] = ()
    identity: str = ""
    sequential: bool = False

    @property
    def n_files(self) -> int:
        """Files in all splits."""
        return sum(len(files) for files in self.splits.values())

    def find(self, path: str) -> SourceFile | None:
        """Return the file of this name, as stores have it in ``source_path``; None if there is none."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, SourceFile]:
        return {file.path: file for files in self.splits.values() for file in files}

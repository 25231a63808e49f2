"""What a build reads from: names, classes and splits of the files, and a reader that gives their bytes.

Kinds of sources differ in how they are listed and in their reader; :func:`freqcache.sources.list_source` tells them
apart. Nothing here opens an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from freqcache.remote.paths import RemotePath
from freqcache.sources.file import SourceFile
from freqcache.sources.index import PathIndex
from freqcache.sources.table import AllFiles, FileTable

__all__ = ["SPLITS", "SPLIT_NAMES", "UNSPLIT", "SourceFile", "SourceReader", "SourceTree"]

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
    splits : dict of str to sequence of SourceFile
        In the order train, val, test. Those of a listing are a :class:`freqcache.sources.table.FileTable`.
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
    splits: Mapping[str, Sequence[SourceFile]]
    ignored: int
    empty_folders: tuple[str, ...] = ()
    identity: str = ""
    sequential: bool = False

    @property
    def n_files(self) -> int:
        """Files in all splits."""
        return sum(len(files) for files in self.splits.values())

    @property
    def files(self) -> Sequence[SourceFile]:
        """The files of all splits, one split after the other."""
        return AllFiles(self.splits)

    def find(self, path: str) -> SourceFile | None:
        """Return the file of this name, as stores have it in ``source_path``; None if there is none."""
        number = self._index.find(path)
        return None if number is None else self.files[number]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the index behind: another process makes its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_index"}

    @cached_property
    def _index(self) -> PathIndex:
        tables = [files for files in self.splits.values() if isinstance(files, FileTable)]
        return PathIndex(self.splits, tables[0].folder if tables else None)

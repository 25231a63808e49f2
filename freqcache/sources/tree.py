"""What a build reads from: names, classes and splits of the files, and a reader that gives their bytes.

Kinds of sources differ in how they are listed and in their reader; :func:`freqcache.sources.list_source` tells them
apart. Nothing here opens an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

UNSPLIT: Final = "all"
"""Name of the only split of a source without split folders."""

SPLITS: Final = ("train", "val", "test", UNSPLIT)
"""Every split that a build can make, in order."""


class SourceReader(Protocol):
    """Gives the bytes of a source's files by their paths. Picklable: worker processes read too."""

    def read(self, path: str, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them.

        Raises
        ------
        SourceError
            If this file cannot be read.
        BuildError
            If the source as a whole has vanished.
        OSError
            If this process has no memory or no descriptor left to read any file.
        """


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of the source.

    Attributes
    ----------
    path : str
        Relative to the source folder, with forward slashes.
    label : int
        Index into the classes of the tree.
    size, mtime_ns : int
        Bytes, and time of the last change: what tells a changed source from the same.
    """

    path: str
    label: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """All files of a source.

    Attributes
    ----------
    root : Path
        Where the source lies: the source folder.
    reader : SourceReader
        Gives the files' bytes.
    classes : tuple of str
        Sorted class names, over all splits.
    splits : dict of str to tuple of SourceFile
        In the order train, val, test.
    ignored : int
        Files passed over: not named as images, or not in a class folder.
    empty_folders : tuple of str
        Folders in the place of classes that hold no image; they are no classes.
    """

    root: Path
    reader: SourceReader
    classes: tuple[str, ...]
    splits: dict[str, tuple[SourceFile, ...]]
    ignored: int
    empty_folders: tuple[str, ...] = ()

    @property
    def n_files(self) -> int:
        """Files in all splits."""
        return sum(len(files) for files in self.splits.values())

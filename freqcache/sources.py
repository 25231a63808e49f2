"""Lists the images of a folder: which split, which class, which file. Opens none of them.

Two layouts are read: a folder of class folders, and a folder with ``train`` and ``val`` (``validation``,
``test``) folders of those. Files are found at any depth below their class folder. Everything is sorted, so the
listing does not depend on the file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freqcache.errors import BuildError

SPLIT_FOLDERS: Final[dict[str, str]] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}
"""Folder names that mean a split, and the split they mean."""

UNSPLIT: Final = "all"
"""Name of the only split of a source without split folders."""

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm"}
)
"""Names with these endings are taken for images; what a file really is, its content tells."""


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
        The source folder.
    classes : tuple of str
        Sorted class names, over all splits.
    splits : dict of str to tuple of SourceFile
        In the order train, val, test.
    ignored : int
        Files passed over because their names are not those of images.
    """

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, tuple[SourceFile, ...]]
    ignored: int

    @property
    def n_files(self) -> int:
        """Files in all splits."""
        return sum(len(files) for files in self.splits.values())


def list_folder(root: str | Path) -> SourceTree:
    """List the images below `root`.

    Raises
    ------
    BuildError
        If the folder is missing, is empty, has no class folders, or has no file with the name of an image.
    """
    root = Path(root)
    if not root.exists():
        msg = f"{root}: no such folder"
        raise BuildError(msg)
    if not root.is_dir():
        msg = f"{root}: not a folder; expected one of class folders, or of train/ and val/ with class folders"
        raise BuildError(msg)
    folders = _subfolders(root)
    named = {SPLIT_FOLDERS[folder.name.lower()]: folder for folder in folders if folder.name.lower() in SPLIT_FOLDERS}
    split_folders: dict[str, Path] = {split: named[split] for split in ("train", "val", "test") if split in named}
    # A class called "test" beside other classes is a class: a split folder holds folders.
    if len(named) != len(folders) or not any(_subfolders(folder) for folder in named.values()):
        split_folders = {UNSPLIT: root}
    classes = sorted({folder.name for base in split_folders.values() for folder in _subfolders(base)})
    if not classes:
        found = "it is empty" if not any(root.iterdir()) else "it has no class folders"
        msg = f"{root}: {found}; expected class folders, or train/ and val/ with class folders"
        raise BuildError(msg)
    splits: dict[str, tuple[SourceFile, ...]] = {}
    ignored = 0
    for split, base in split_folders.items():
        files = []
        for folder in _subfolders(base):
            label = classes.index(folder.name)
            for path in _walk(folder):
                if path.suffix.lower() not in IMAGE_SUFFIXES:
                    ignored += 1
                    continue
                files.append(_describe(path, root, label))
        if files:
            splits[split] = tuple(files)
    if not splits:
        msg = f"{root}: no images in its {len(classes)} class folders ({ignored} other files)"
        raise BuildError(msg)
    return SourceTree(root=root, classes=tuple(classes), splits=splits, ignored=ignored)


def _describe(path: Path, root: Path, label: int) -> SourceFile:
    try:
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError:  # a dangling link: listed, so that reading it fails with a reason in the ledger
        size, mtime_ns = 0, 0
    return SourceFile(path=path.relative_to(root).as_posix(), label=label, size=size, mtime_ns=mtime_ns)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(base, name)

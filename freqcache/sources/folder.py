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
from freqcache.sources.files import read_file
from freqcache.sources.names import check_class_names
from freqcache.sources.tree import SPLIT_NAMES, SPLITS, UNSPLIT, SourceFile, SourceTree

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm"}
)
"""Names with these endings are taken for images; what a file really is, its content tells."""


@dataclass(frozen=True, kw_only=True)
class FolderReader:
    """Reads files below a folder: see :class:`freqcache.sources.tree.SourceReader`."""

    root: Path

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        return read_file(f"{self.root}/{file.path}", length)


def list_folder(root: str | Path) -> SourceTree:
    """List the images below `root`.

    Raises
    ------
    BuildError
        If the folder is missing, is empty, has no class folders, mixes split folders with others, cannot be
        listed whole, has no file with the name of an image, or a class folder whose name cannot be stored.
    """
    if not str(root):
        msg = "the source is an empty name; expected a folder"
        raise BuildError(msg)
    root = Path(root)
    try:
        if not root.exists():
            msg = f"{root}: no such folder"
            raise BuildError(msg)
        if not root.is_dir():
            msg = f"{root}: not a folder; expected one of class folders, or of train/ and val/ with class folders"
            raise BuildError(msg)
        return _list(root)
    except OSError as error:
        msg = f"{error.filename or root}: cannot be listed: {error.strerror}"
        raise BuildError(msg) from error


def _list(root: Path) -> SourceTree:
    bases = _split_folders(root)
    folders = sorted({folder.name for base in bases.values() for folder in subfolders(base)})
    if not folders:
        found = "it is empty" if not any(root.iterdir()) else "it has no class folders"
        msg = f"{root}: {found}; expected class folders, or train/ and val/ with class folders"
        raise BuildError(msg)
    ignored = sum(path.is_file() for base in {root, *bases.values()} for path in base.iterdir())
    found_files: dict[str, list[tuple[str, Path]]] = {}
    for split, base in bases.items():
        for folder in subfolders(base):
            for path in _walk(folder):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    found_files.setdefault(split, []).append((folder.name, path))
                else:
                    ignored += 1
    if not found_files:
        msg = f"{root}: no images in its {len(folders)} class folders ({ignored} other files)"
        raise BuildError(msg)
    classes = sorted({name for files in found_files.values() for name, _ in files})
    for split, base in bases.items():
        check_class_names(sorted({name for name, _ in found_files.get(split, ())}), str(base))
    labels = {name: label for label, name in enumerate(classes)}
    return SourceTree(
        root=root,
        reader=FolderReader(root=root),
        classes=tuple(classes),
        splits={
            split: tuple(_describe(path, root, labels[name]) for name, path in files)
            for split, files in found_files.items()
        },
        ignored=ignored,
        empty_folders=tuple(name for name in folders if name not in labels),
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; the root itself where its folders are classes."""
    folders = subfolders(root)
    named = [folder for folder in folders if folder.name.lower() in SPLIT_NAMES]
    # A class may be called "test": a split folder is one that holds folders.
    if not any(subfolders(folder) for folder in named):
        return {UNSPLIT: root}
    others = [folder.name for folder in folders if folder not in named]
    if others:
        splits = ", ".join(f"{folder.name}/" for folder in named)
        msg = f"{root}: holds {splits} with class folders, and also {', '.join(others)}: a split or a class?"
        raise BuildError(msg)
    bases: dict[str, Path] = {}
    for split in SPLITS:
        mine = [folder for folder in named if SPLIT_NAMES[folder.name.lower()] == split]
        if len(mine) > 1:
            msg = f"{root}: {' and '.join(f'{folder.name}/' for folder in mine)} both mean the split {split!r}"
            raise BuildError(msg)
        if mine:
            bases[split] = mine[0]
    return bases


def _describe(path: Path, root: Path, label: int) -> SourceFile:
    try:
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError:  # a dangling link: listed, so that reading it fails with a reason in the ledger
        size, mtime_ns = 0, 0
    return SourceFile(path=path.relative_to(root).as_posix(), label=label, size=size, mtime_ns=mtime_ns)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, links to folders followed, each folder once."""
    seen: set[tuple[int, int]] = set()

    def stop(error: OSError) -> None:
        raise error

    for base, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        status = Path(base).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(base, name)

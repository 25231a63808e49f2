"""Lists the images of a folder: which split, which class, which file. Opens none of them.

Two layouts are read: a folder of class folders, and a folder with ``train`` and ``val`` (``validation``,
``test``) folders of those. Files are found at any depth below their class folder. Everything is sorted, so the
listing does not depend on the file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import Entry, Listing
from freqcache.sources.file import SourceFile
from freqcache.sources.files import read_file
from freqcache.sources.names import check_class_names
from freqcache.sources.tree import SPLIT_NAMES, SPLITS, UNSPLIT, SourceReader, SourceTree

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


def list_folder(root: str | Path, scratch: Path | None = None) -> SourceTree:
    """List the images below `root`.

    Parameters
    ----------
    root : path
        The folder.
    scratch : Path, optional
        For temporary files: see :func:`freqcache.sources.list_source`.

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
        return _list(root, scratch)
    except OSError as error:
        msg = f"{error.filename or root}: cannot be listed: {error.strerror}"
        raise BuildError(msg) from error


def _list(root: Path, scratch: Path | None) -> SourceTree:
    bases = _split_folders(root)
    class_folders = {split: subfolders(base) for split, base in bases.items()}
    folders = sorted({folder.name for found in class_folders.values() for folder in found})
    if not folders:
        found = "it is empty" if not any(root.iterdir()) else "it has no class folders"
        msg = f"{root}: {found}; expected class folders, or train/ and val/ with class folders"
        raise BuildError(msg)
    ignored = sum(path.is_file() for base in {root, *bases.values()} for path in base.iterdir())
    listing = Listing(scratch)
    for split, base in bases.items():
        prefix = "" if base == root else f"{base.name}/"
        for folder in class_folders[split]:
            for path, place in _walk(folder, f"{prefix}{folder.name}"):
                if suffix_of(path).lower() in IMAGE_SUFFIXES:
                    listing.add(split, Entry(path, folder.name, *_described(place)))
                else:
                    ignored += 1
    for split, base in bases.items():
        check_class_names((f.name for f in class_folders[split] if f.name in listing.names), str(base))
    return tree_of_classes(root, FolderReader(root=root), listing, folders, ignored)


def tree_of_classes(
    root: Path | RemotePath, reader: SourceReader, listing: Listing, folders: Sequence[str], ignored: int
) -> SourceTree:
    """Return the tree of the images that were listed in class folders, of all their names, sorted.

    Raises
    ------
    BuildError
        If there is no image.
    """
    if not listing.splits:
        msg = f"{root}: no images in its {len(folders)} class folders ({ignored} other files)"
        raise BuildError(msg)
    classes = sorted(listing.names)
    return SourceTree(
        root=root,
        reader=reader,
        classes=tuple(classes),
        splits=listing.finish(classes),
        ignored=ignored,
        empty_folders=tuple(name for name in folders if name not in set(classes)),
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; the root itself where its folders are classes."""
    folders = {folder.name: folder for folder in subfolders(root)}
    bases = split_bases(root, list(folders), lambda name: bool(subfolders(folders[name])))
    return {split: folders[name] if name else root for split, name in bases.items()}


def split_bases(root: object, folders: Sequence[str], has_folders: Callable[[str], bool]) -> dict[str, str]:
    """Return the name of the folder of each split; an empty one, for the root, where its folders are classes.

    Parameters
    ----------
    root : object
        The source, for messages.
    folders : sequence of str
        Names of its folders.
    has_folders : callable
        Whether there is a folder in the folder of a name.

    Raises
    ------
    BuildError
        If there are folders of splits and others, or two of one split.
    """
    named = [name for name in folders if name.lower() in SPLIT_NAMES]
    # A class may be called "test": a split folder is one that holds folders.
    if not any(map(has_folders, named)):
        return {UNSPLIT: ""}
    others = [name for name in folders if name not in named]
    if others:
        splits = ", ".join(f"{name}/" for name in named)
        msg = f"{root}: holds {splits} with class folders, and also {', '.join(others)}: a split or a class?"
        raise BuildError(msg)
    bases: dict[str, str] = {}
    for split in SPLITS:
        mine = [name for name in named if SPLIT_NAMES[name.lower()] == split]
        if len(mine) > 1:
            msg = f"{root}: {' and '.join(f'{name}/' for name in mine)} both mean the split {split!r}"
            raise BuildError(msg)
        if mine:
            bases[split] = mine[0]
    return bases


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def suffix_of(path: str) -> str:
    """Return the ending of a file's name with its dot, as ``PurePath.suffix`` has it, which takes far longer."""
    name = path[path.rfind("/") + 1 :]
    place = name.rfind(".")
    return name[place:] if 0 < place < len(name) - 1 else ""


def _described(place: str) -> tuple[int, int]:
    """Return a file's bytes, and the time of its last change."""
    try:
        status = os.stat(place)  # noqa: PTH116  (a Path costs more than the call)
    except OSError:  # a dangling link: listed, so that reading it fails with a reason in the ledger
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _walk(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each file below a folder that is called `name`, and where it lies.

    Links are followed, each folder once. Held are the names in one folder.
    """
    seen: set[tuple[int, int]] = set()
    left = [(name, str(folder))]
    while left:
        path, place = left.pop()
        names, folders = _content(place)
        status = os.stat(place)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in names:
            yield f"{path}/{name}", f"{place}/{name}"
        left += [(f"{path}/{name}", f"{place}/{name}") for name in reversed(folders)]


def _content(place: str) -> tuple[list[str], list[str]]:
    """Return the names of files and of folders in a folder that are not hidden, sorted."""
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(place) as found:
        for entry in found:
            if not entry.name.startswith("."):
                (folders if _is_folder(entry) else names).append(entry.name)
    names.sort()
    folders.sort()
    return names, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False

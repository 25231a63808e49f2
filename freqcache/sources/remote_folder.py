"""Lists the images of a folder at a URL: the tree that :mod:`freqcache.sources.folder` makes of the same files.

An object store has no folders: what lies between slashes stands for them, and an object that stands for an empty folder
is none. Class folders are listed whole and several at the same time, a thousand objects in a request. Opens no image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from freqcache.ahead import ahead
from freqcache.errors import BuildError
from freqcache.remote.listing import Found
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import Entry, Listing
from freqcache.sources.folder import IMAGE_SUFFIXES, split_bases, tree_of_classes
from freqcache.sources.remote_reading import RemoteReader
from freqcache.sources.tree import SourceTree

_FOLDERS_AT_A_TIME: Final = 8


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a folder and in some of its folders; each is listed once, when it is asked for.

    Attributes
    ----------
    root : RemotePath
        The folder.
    """

    root: RemotePath
    _known: dict[str, list[Found]] = field(default_factory=dict)

    def entries(self, name: str = "") -> list[Found]:
        """Return what is in the folder, or in one in it, sorted by name."""
        if name not in self._known:
            self._known[name] = (self.root / name if name else self.root).in_folder()
        return self._known[name]

    def folders(self, name: str = "") -> list[str]:
        """Return the names of the folders in it that are not hidden."""
        return [found.name for found in self.entries(name) if found.is_folder and not found.name.startswith(".")]

    def files(self, name: str = "") -> list[Found]:
        """Return the files in it, hidden ones too."""
        return [found for found in self.entries(name) if not found.is_folder]


def list_remote_folder(listing: Contents, scratch: Path | None = None) -> SourceTree:
    """List the images below a folder at a URL.

    Raises
    ------
    BuildError
        If the folder is missing or empty, has no class folders, mixes split folders with others, cannot be listed, or
        has no file with the name of an image.
    """
    root = listing.root
    if not listing.entries():
        msg = f"{root}: no such folder, or an empty one; expected class folders, or train/ and val/ with class folders"
        raise BuildError(msg)
    bases = split_bases(root, listing.folders(), lambda name: bool(listing.folders(name)))
    folders = sorted({folder for base in bases.values() for folder in listing.folders(base)})
    if not folders:
        msg = f"{root}: it has no class folders; expected class folders, or train/ and val/ with class folders"
        raise BuildError(msg)
    ignored = sum(len(listing.files(base)) for base in {"", *bases.values()})
    places = [
        (split, folder, f"{base}/{folder}" if base else folder)
        for split, base in bases.items()
        for folder in listing.folders(base)
    ]
    images = Listing(scratch)
    listed = ahead(lambda place: _images(root / place[2]), places, _FOLDERS_AT_A_TIME)
    for (split, folder, inside), (found, others) in zip(places, listed, strict=True):
        ignored += others
        for file in found:
            images.add(split, Entry(f"{inside}/{file.name}", folder, file.size, file.version))
    return tree_of_classes(root, RemoteReader(root=root), images, folders, ignored)


def _images(folder: RemotePath) -> tuple[list[Found], int]:
    """Return the images below a class folder in the order of a walk, and how many other files there are."""
    images, others = [], 0
    for file in folder.files_below():
        parts = file.name.split("/")
        if any(part.startswith(".") for part in parts):
            continue
        if PurePosixPath(file.name).suffix.lower() in IMAGE_SUFFIXES:
            images.append(file)
        else:
            others += 1
    # The files of a folder come before those of the folders in it.
    images.sort(key=lambda file: [(1, part) for part in file.name.split("/")[:-1]] + [(0, file.name.split("/")[-1])])
    return images, others

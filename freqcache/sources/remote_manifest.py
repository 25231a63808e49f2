"""Finds the objects that a manifest names at URLs, and reads a manifest's images from here and from there.

Sizes and versions come from listing the folders, a thousand objects in a request, as long as that is fewer requests
than asking for each object; else each is asked for, many at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from freqcache.ahead import ahead
from freqcache.errors import SourceError
from freqcache.remote import RemotePath, is_url
from freqcache.remote.files import CONNECTIONS
from freqcache.remote.listing import Stat
from freqcache.sources.ahead import read_or_error
from freqcache.sources.assembly import Entry
from freqcache.sources.remote_reading import RemoteReader
from freqcache.sources.tree import SourceFile, SourceReader

_AT_ONCE: Final = 1 << 18
"""Entries that are held in memory, some 100 MB."""

_WORTH_LISTING: Final = 8
_OBJECTS_EACH: Final = 500
"""Objects of a folder that make listing it worth while, and how many are listed at most for each: half a page."""


@dataclass(frozen=True, kw_only=True)
class MixedReader:
    """Reads files by local paths and by URLs: see :class:`freqcache.sources.tree.SourceReader`."""

    local: SourceReader
    remote: RemoteReader

    @property
    def root(self) -> Path | RemotePath:
        """The folder of the manifest."""
        return self.local.root

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        return (self.remote if is_url(file.path) else self.local).read(file, length)

    def read_many(self, files: Sequence[SourceFile], length: int = -1) -> list[bytes | SourceError]:
        """Return the same of several files: see :class:`freqcache.sources.ahead.ManyReader`."""
        far = [i for i, file in enumerate(files) if is_url(file.path)]
        found = dict(zip(far, self.remote.read_many([files[i] for i in far], length), strict=True))
        for i, file in enumerate(files):
            if i not in found:
                found[i] = read_or_error(self.local, file, length)
        return [found[i] for i in range(len(files))]


def located(root: RemotePath, entries: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, Entry]]:
    """Give the entries of a manifest the sizes and the versions of their objects; one that is missing has a problem.

    Parameters
    ----------
    root : RemotePath
        The folder of the manifest; without a URL if that is local: then entries with local paths stay as they are.
    entries : iterable of (str, Entry)
        With their splits; so many are held in memory that a folder is not listed again and again.

    Raises
    ------
    BuildError
        If a server cannot be reached or refuses to say.
    """
    entries = iter(entries)
    while window := list(islice(entries, _AT_ONCE)):
        far = {entry.path: root / entry.path for _, entry in window if root.url or is_url(entry.path)}
        stats = _stats(list(far.values()))
        for split, entry in window:
            yield split, _located(entry, stats[far[entry.path].url]) if entry.path in far else entry


def _located(entry: Entry, stat: Stat | None) -> Entry:
    if stat is None:
        problem = "cannot be read: no such object"
    elif stat.is_folder:
        problem = "cannot be read: a folder"
    elif stat.size < 0:
        problem = "cannot be read: the server does not say how long it is"
    else:
        return entry._replace(size=stat.size, mtime_ns=stat.version)
    return entry._replace(name="", problem=problem)


def _stats(paths: Sequence[RemotePath]) -> dict[str, Stat | None]:
    """Return what the objects at some URLs are."""
    folders: dict[str, list[RemotePath]] = {}
    for path in paths:
        folders.setdefault(path.url.rpartition("/")[0], []).append(path)
    worth = [mine for mine in folders.values() if mine[0].can_be_listed and len(mine) >= _WORTH_LISTING]
    found: dict[str, Stat | None] = {}
    for listed in ahead(_listed, worth, CONNECTIONS // 4):
        found |= listed
    others = [path for path in paths if path.url not in found]
    found |= zip([path.url for path in others], ahead(RemotePath.stat, others, CONNECTIONS), strict=True)
    return found


def _listed(paths: Sequence[RemotePath]) -> dict[str, Stat | None]:
    """Return what some objects of one folder are; less than all if the folder has too many others."""
    folder = paths[0].parent
    most = _OBJECTS_EACH * len(paths)
    listing = folder.in_folder(most)
    stats = {f"{folder.url}/{found.name}": Stat(found.is_folder, found.size, found.version) for found in listing}
    if len(listing) >= most:
        return {path.url: stats[path.url] for path in paths if path.url in stats}
    return {path.url: stats.get(path.url) for path in paths}

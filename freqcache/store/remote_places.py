"""A store at a URL: its files through :mod:`freqcache.remote`, with a read-through cache where one is wanted.

What is fetched are whole small files (metadata, per-sample arrays, indexes) and the runs of masked chunks that
:mod:`freqcache.store.shards` asks for, those of a row group at the same time. The length of a shard is known from its
split, so that opening one asks for its index and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from freqcache.errors import StoreError
from freqcache.remote.files import UNUSABLE, RemoteFiles
from freqcache.remote.range_cache import RangeCache
from freqcache.remote.retrying import reason
from freqcache.store.places import Piece

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Cached:
    """Where ranges are kept once they were fetched.

    Attributes
    ----------
    cache : RangeCache
        The folder.
    owner : str
        What the entries belong to: the store's id.
    """

    cache: RangeCache
    owner: str

    def key(self, name: str, start: int, length: int) -> str:
        """Return the key of a range of a file; length -1 for a whole one."""
        return f"{self.owner}/{name}:{start}+{length}"


@dataclass(frozen=True)
class RemotePlace:
    """A folder of a store at a URL.

    Attributes
    ----------
    files : RemoteFiles
        Those of the store.
    prefix : str
        The folder; empty for the root.
    cached : Cached or None
        Where to keep what was fetched.
    ahead : dict of str to bytes
        Whole files that were fetched already: see :meth:`read_ahead`.
    """

    files: RemoteFiles
    prefix: str = ""
    cached: Cached | None = None
    ahead: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __truediv__(self, name: str) -> RemotePlace:
        return replace(self, prefix=self._name(name))

    def __str__(self) -> str:
        return f"{self.files}/{self.prefix}" if self.prefix else str(self.files)

    def read(self, key: str) -> bytes:
        """Return a whole file: see :class:`freqcache.store.places.Place`."""
        name = self._name(key)
        found = self.ahead.get(name)
        if found is None:
            found = self._kept(name)
        if found is not None:
            return found
        data = _reading(f"{self}/{key}", lambda: self.files.read(name))
        self._keep(name, data)
        return data

    def read_ahead(self, keys: Sequence[str]) -> RemotePlace:
        """Return this folder, some of whose files were fetched: see :class:`freqcache.store.places.Place`."""
        names = [name for name in map(self._name, keys) if name not in self.ahead]
        kept = {name: data for name in names if (data := self._kept(name)) is not None}
        fetched = _reading(str(self), lambda: self.files.read_many([name for name in names if name not in kept]))
        for name, data in fetched.items():
            self._keep(name, data)
        return replace(self, ahead={**self.ahead, **kept, **fetched})

    def _kept(self, name: str) -> bytes | None:
        """Return a whole file from the cache, if it is there."""
        # The root's metadata say which store this is: they are never taken from what another one left in the cache.
        if self.cached is None or not self.prefix:
            return None
        return self.cached.cache.get(self.cached.key(name, 0, -1))

    def _keep(self, name: str, data: bytes) -> None:
        if self.cached is not None and self.prefix:
            self.cached.cache.put(self.cached.key(name, 0, -1), data)

    def open(self, key: str, size: int | None = None) -> RemoteFile:
        """Open a file for reading ranges: see :class:`freqcache.store.places.Place`."""
        name = self._name(key)
        if size is None:
            size = _reading(f"{self}/{key}", lambda: self.files.size(name))
        return RemoteFile(self, name, size)

    def has(self, key: str) -> bool:
        """Whether there is a file of that name."""
        return _reading(f"{self}/{key}", lambda: self.files.exists(self._name(key)))

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


class RemoteFile:
    """A file at a URL, read by ranges.

    What a network carries is paid for, byte by byte. A request costs time too, but those of a row group are under way
    at the same time.
    """

    near, waste = 1_000_000, 0.05

    def __init__(self, place: RemotePlace, name: str, size: int) -> None:
        self.name = f"{place.files}/{name}"
        self.size = size
        self._key, self._files, self._cached = name, place.files, place.cached

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `offset` on: see :class:`freqcache.store.places.RangeFile`."""
        self.read_pieces([(offset, target)])

    def read_pieces(self, pieces: Sequence[Piece]) -> None:
        """Fill several targets at the same time: see :class:`freqcache.store.places.RangeFile`."""
        missing = [piece for piece in pieces if not self._from_cache(*piece)]
        ranges = [(self._key, offset, len(target)) for offset, target in missing]
        found = _reading(self.name, lambda: self._files.read_ranges(ranges))
        for (offset, target), data in zip(missing, found, strict=True):
            target[:] = data
            if self._cached is not None:
                self._cached.cache.put(self._cached.key(self._key, offset, len(target)), data)

    def _from_cache(self, offset: int, target: memoryview) -> bool:
        if self._cached is None:
            return False
        data = self._cached.cache.get(self._cached.key(self._key, offset, len(target)), len(target))
        if data is None:
            return False
        target[:] = data
        return True


def open_remote(url: str, storage_options: dict[str, object] | None = None) -> RemotePlace:
    """Return the place of a URL; nothing is asked of it yet.

    Raises
    ------
    StoreError
        If the protocol is unknown, or what it needs is not installed.
    """
    try:
        return RemotePlace(RemoteFiles(url, storage_options))
    except UNUSABLE as error:
        msg = f"{url}: cannot be opened: {reason(error)}"
        raise StoreError(msg) from error


def _reading(name: str, read: Callable[[], Result]) -> Result:
    """Return what `read` returns; whatever the library below raises becomes a StoreError that names the file."""
    try:
        return read()
    except FileNotFoundError as error:
        msg = f"{name}: cannot be read: no such object"
        raise StoreError(msg) from error
    except Exception as error:
        msg = f"{name}: cannot be read: {reason(error)}"
        raise StoreError(msg) from error

"""A store inside anything that zarr-python opens: a zip file, memory, or any store object of its own.

Only bytes come through zarr-python: which ones, and whether they can be trusted, is decided by the same code as for
a local folder. So a missing or damaged chunk raises here too, and ranges are as few as there. Stores raise what the
libraries below them do (``BadZipFile``, ``ClientError``): whatever it is, it becomes a StoreError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any

from freqcache.errors import StoreError
from freqcache.store.places import NEAR, Piece

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from zarr.abc.store import Store


class OwnStore:
    """A zarr-python store of which a forked child gets its own: processes would share the position in a zip file.

    Parameters
    ----------
    store : zarr.abc.store.Store
        This process'.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._owner = store, os.getpid()

    def __str__(self) -> str:
        return str(self._store)

    def get(self) -> Store:
        """Return the store of the process that calls."""
        if self._owner != os.getpid():
            self._store, self._owner = copy(self._store), os.getpid()  # what can be pickled opens its files again
        return self._store


class ZarrPlace:
    """A folder inside a zarr-python store.

    Parameters
    ----------
    store : OwnStore
        Where.
    prefix : str
        The folder; empty for the root.
    """

    def __init__(self, store: OwnStore, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix

    def __truediv__(self, name: str) -> ZarrPlace:
        return ZarrPlace(self._store, self._key(name))

    def __str__(self) -> str:
        return f"{self._store}/{self._prefix}" if self._prefix else str(self._store)

    def read(self, key: str) -> bytes:
        """Return a whole file: see :class:`freqcache.store.places.Place`."""
        return _get(self._store.get(), self._key(key), f"{self}/{key}", None)

    def read_ahead(self, keys: Sequence[str]) -> ZarrPlace:  # noqa: ARG002
        """Return this folder: see :class:`freqcache.store.places.Place`."""
        return self

    def open(self, key: str, size: int | None = None) -> ZarrFile:  # noqa: ARG002
        """Open a file for reading ranges: see :class:`freqcache.store.places.Place`."""
        return ZarrFile(self._store.get(), self._key(key), f"{self}/{key}")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


class ZarrFile:
    """A file of a zarr-python store, read by ranges."""

    near, waste = NEAR, inf

    def __init__(self, store: Store, key: str, name: str) -> None:
        self.name = name
        self._store, self._key = store, key
        try:
            self.size = int(_wait(store.getsize(key)))
        except Exception as error:
            msg = f"{name}: cannot be opened: {_reason(error)}"
            raise StoreError(msg) from error

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `offset` on: see :class:`freqcache.store.places.RangeFile`."""
        from zarr.abc.store import RangeByteRequest

        wanted = RangeByteRequest(offset, offset + len(target))
        data = _get(self._store, self._key, self.name, wanted)
        if len(data) != len(target):
            msg = f"{self.name}: ends at {offset + len(data)}, expected {len(target) - len(data)} bytes more"
            raise StoreError(msg)
        target[:] = data

    def read_pieces(self, pieces: Sequence[Piece]) -> None:
        """Fill several targets: see :class:`freqcache.store.places.RangeFile`."""
        for offset, target in pieces:
            self.read_into(offset, target)


def open_zip_store(location: str) -> Store:
    """Return zarr-python's store for the path of a zip file.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    import zipfile

    from zarr.storage import ZipStore

    try:
        store = ZipStore(location, mode="r")
        _wait(store._open())
    except zipfile.BadZipFile as error:
        msg = f"{location}: neither a store's folder nor a zip file of one: {_reason(error)}"
        raise StoreError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{location}: cannot be opened: {_reason(error)}"
        raise StoreError(msg) from error
    return store


def _get(store: Store, key: str, name: str, wanted: Any) -> bytes:
    from zarr.core.buffer import default_buffer_prototype

    try:
        found = _wait(store.get(key, default_buffer_prototype(), wanted))
    except Exception as error:
        msg = f"{name}: cannot be read: {_reason(error)}"
        raise StoreError(msg) from error
    if found is None:
        msg = f"{name}: cannot be read: no such file"
        raise StoreError(msg)
    data: bytes = found.to_bytes()
    return data


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on the event loop that zarr-python's own stores live on."""
    from zarr.core.sync import sync

    return sync(work)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__

"""Opens a store: its metadata, and its splits by name.

A store is a local folder, or anything else that zarr-python can open: a zip file, a URL. The format is specified in
``formats/v1/spec.md``. Reading samples is :mod:`freqcache.store.fixed`'s and :mod:`freqcache.store.native`'s.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freqcache.errors import FormatError, MaskError, StoreError
from freqcache.remote import is_url
from freqcache.remote.settings import choose_cache
from freqcache.store.attributes import read_attributes
from freqcache.store.fixed import FixedSplit
from freqcache.store.hot import open_hot
from freqcache.store.native import NativeSplit
from freqcache.store.places import LocalPlace, Place
from freqcache.store.remote_places import Cached, RemotePlace, open_remote
from freqcache.store.zarr_places import OwnStore, ZarrPlace, open_zip_store
from freqcache_formats.layout import HOT
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import StoreMetadata

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

_UNFINISHED: Final = "{}: its build did not finish; repeat the command that made it to finish it"


def open_store(
    path: str | Path | ZarrStore,
    *,
    hot: bool = True,
    cache: str | Path | None = None,
    cache_bytes: int | None = None,
    storage_options: dict[str, Any] | None = None,
) -> Store:
    """Open a store.

    Parameters
    ----------
    path : path, URL or zarr.abc.store.Store
        A folder that ``freqcache build`` made; a zip file of one, with the store's ``zarr.json`` at its root; the URL
        of a copy elsewhere, for fsspec; or any store object of zarr-python.
    hot : bool
        Read from the store's hot copy where there is one that holds the wanted channels.
    cache : path, optional
        For a URL: a local folder where what was fetched is kept, for any number of processes and stores; by default
        that of the environment variable ``FREQCACHE_CACHE_DIR``, or none.
    cache_bytes : int, optional
        What the folder may take; what was used longest ago goes first. ``FREQCACHE_CACHE_SIZE`` or 50 GB by default.
    storage_options : dict, optional
        For a URL: passed to fsspec.

    Raises
    ------
    StoreError
        If there is no complete store, or a cache or options are given for what is no URL.
    FormatError
        If its metadata is of an unknown version or malformed.
    """
    return Store(path, hot=hot, cache=cache, cache_bytes=cache_bytes, storage_options=storage_options)


class Store:
    """A cache: its splits by name, and what they share.

    Attributes
    ----------
    location : str
        Absolute path or URL.
    place : Place
        Where its files lie.
    metadata : StoreMetadata
        The root attributes.
    hot : HotMetadata or None
        Of the hot copy that is read from.
    """

    def __init__(
        self,
        path: str | Path | ZarrStore,
        *,
        hot: bool = True,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        self.place = _place(path, storage_options)
        self.location = str(self.place)
        try:
            self.metadata = StoreMetadata.from_dict(read_attributes(self.place))
        except FormatError as error:
            msg = f"{path}: {error}"
            raise FormatError(msg) from error
        except StoreError as error:
            if isinstance(self.place, RemotePlace) and self.place.has(".build/state.json"):
                raise StoreError(_UNFINISHED.format(path)) from error
            raise
        if isinstance(self.place, RemotePlace):
            chosen = choose_cache(cache, cache_bytes)
            if chosen is not None:
                self.place = replace(self.place, cached=Cached(cache=chosen, owner=self.id))
        elif cache is not None:
            msg = f"{path}: a cache is for stores at a URL"
            raise StoreError(msg)
        self.hot = open_hot(self.place.path, self.id) if hot and isinstance(self.place, LocalPlace) else None

    @property
    def is_remote(self) -> bool:
        """Whether it is read from a URL."""
        return isinstance(self.place, RemotePlace)

    @property
    def id(self) -> str:
        """Digest of the content: 32 hexadecimal digits."""
        return self.metadata.id

    @property
    def kind(self) -> str:
        """``"native"`` or ``"fixed"``."""
        return self.metadata.kind

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return self.metadata.splits

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        return self.metadata.classes

    @property
    def channels(self) -> ChannelMask:
        """The channels that are stored: all 192 in an ordinary store."""
        return self.metadata.channels

    def check_holds(self, mask: ChannelMask) -> None:
        """Raise MaskError if a channel of `mask` is not stored."""
        try:
            mask.places_in(self.channels)
        except MaskError as error:
            msg = f"{self.location}: {error}"
            raise MaskError(msg) from error

    def check_same(self) -> None:
        """Look whether this store still stands at its place.

        Raises
        ------
        StoreError
            If another one does, or none.
        """
        found = StoreMetadata.from_dict(read_attributes(self.place)).id
        if found != self.id:
            msg = f"{self.location}: replaced by the store {found} while it was in use; open it again"
            raise StoreError(msg)

    def __getitem__(self, split: str) -> FixedSplit | NativeSplit:
        """Return a split.

        Raises
        ------
        StoreError
            If the store has no split of that name.
        """
        if split not in self.splits:
            msg = f"{self.location}: no split {split!r}; it has {', '.join(self.splits)}"
            raise StoreError(msg)
        hot = None if self.hot is None else (Path(self.location) / HOT, self.hot)
        form = FixedSplit if self.kind == "fixed" else NativeSplit
        return form(self.place, split, self.classes, self.channels, hot, confirm=self.check_same)

    def __repr__(self) -> str:
        held = "" if self.channels.is_all else f"; {len(self.channels)} channels"
        return f"<freqcache store {self.location} ({self.kind}{held}; splits {', '.join(self.splits)})>"


def _place(path: str | Path | ZarrStore, storage_options: dict[str, Any] | None) -> Place:
    """Return where a store's files lie, after a look at what stands there."""
    if is_url(path):
        return open_remote(str(path), storage_options)
    if storage_options:
        msg = f"{path}: storage_options are for stores at a URL"
        raise StoreError(msg)
    if not isinstance(path, str | Path):
        return ZarrPlace(OwnStore(path))
    folder = Path(path).absolute()
    try:
        missing, archive = not folder.exists(), folder.is_file()
        unfinished = (folder / ".build").is_dir() and not (folder / "zarr.json").exists()
    except OSError as error:
        msg = f"{path}: cannot be opened: {error.strerror}"
        raise StoreError(msg) from error
    if missing:
        msg = f"{path}: no such store"
        raise StoreError(msg)
    if unfinished:
        raise StoreError(_UNFINISHED.format(path))
    return ZarrPlace(OwnStore(open_zip_store(str(folder)))) if archive else LocalPlace(folder)

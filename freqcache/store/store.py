"""Opens a store: its metadata, and its splits by name.

Stores are local folders; their format is specified in ``formats/v1/spec.md``. Reading samples is
:mod:`freqcache.store.split`'s.
"""

from __future__ import annotations

from pathlib import Path

from freqcache.errors import FormatError, StoreError
from freqcache.store.attributes import read_attributes
from freqcache.store.split import FixedSplit, NativeSplit
from freqcache_formats.metadata import StoreMetadata


def open_store(path: str | Path) -> Store:
    """Open a store.

    Parameters
    ----------
    path : path
        A folder that ``freqcache build`` made.

    Raises
    ------
    StoreError
        If there is no complete store.
    FormatError
        If its metadata is of an unknown version or malformed.
    """
    return Store(path)


class Store:
    """A cache: its splits by name, and what they share.

    Attributes
    ----------
    path : Path
        Absolute.
    metadata : StoreMetadata
        The root attributes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        try:
            unfinished = (self.path / ".build").is_dir() and not (self.path / "zarr.json").exists()
            missing = not self.path.exists()
        except OSError as error:
            msg = f"{path}: cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        if missing:
            msg = f"{path}: no such store"
            raise StoreError(msg)
        if unfinished:
            msg = f"{path}: its build did not finish; repeat the build command to finish it"
            raise StoreError(msg)
        try:
            self.metadata = StoreMetadata.from_dict(read_attributes(self.path))
        except FormatError as error:
            msg = f"{path}: {error}"
            raise FormatError(msg) from error

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

    def __getitem__(self, split: str) -> FixedSplit | NativeSplit:
        """Return a split.

        Raises
        ------
        StoreError
            If the store has no split of that name.
        """
        if split not in self.splits:
            msg = f"{self.path}: no split {split!r}; it has {', '.join(self.splits)}"
            raise StoreError(msg)
        return (FixedSplit if self.kind == "fixed" else NativeSplit)(self.path, split, self.classes)

    def __repr__(self) -> str:
        return f"<freqcache store {self.path} ({self.kind}; splits {', '.join(self.splits)})>"

"""Where a store is written: a local folder here, URLs in :mod:`freqcache.store.remote_targets`.

A target gives what builds need of a place: files that stand whole or not at all, large ones that are written bit by
bit, and what stands there already. It is picklable, and worker processes write to it by themselves. Reading a store is
:mod:`freqcache.store.places`'.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from freqcache.locking import lock_file
from freqcache.store.durable import PARTIAL, sync_folder, temporary, write_durably
from freqcache.store.places import LocalPlace, Place

Standing = Literal["nothing", "folder", "other"]


class TargetFile(Protocol):
    """A large file that is being written; nothing stands in its place before :meth:`place`."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""

    def seal(self) -> None:
        """Write out what was appended; nothing more comes."""

    def place(self) -> None:
        """Put the whole file in its place, where it lasts."""

    def abandon(self) -> None:
        """Leave nothing behind."""


class Target(Protocol):
    """A folder that is written to.

    Keys are relative, with forward slashes. Whatever fails raises an OSError that names the file.
    """

    @property
    def name(self) -> str:
        """Of the folder itself."""

    def __truediv__(self, name: str) -> Target:
        """Return a folder inside this one."""

    @property
    def parent(self) -> Target:
        """The folder that this one lies in."""

    @property
    def location(self) -> Path | str:
        """The path or the URL."""

    @property
    def place(self) -> Place:
        """The same folder, for reading."""

    @property
    def scratch(self) -> Path:
        """A local path that temporary files of a build of this store may be named after."""

    @property
    def private(self) -> bool:
        """Whether other processes see something else here."""

    @property
    def at_once(self) -> int:
        """How many requests to have under way where there are many to make."""

    def writable(self) -> bool:
        """Whether this process may write here, as far as can be told without doing so."""

    def standing(self) -> Standing:
        """Return what stands here."""

    def names(self) -> set[str]:
        """Return the names in the folder; none where there is no folder."""

    def sizes(self) -> dict[str, int]:
        """Return the keys of all files below, and their bytes."""

    def exists(self, key: str) -> bool:
        """Whether there is a file of that key."""

    def size(self, key: str) -> int:
        """Return the bytes of a file."""

    def read(self, key: str) -> bytes:
        """Return a whole file."""

    def write(self, key: str, data: bytes | memoryview, *, lasting: bool = True) -> None:
        """Put a whole file in its place.

        Parameters
        ----------
        key : str
            Its name.
        data : bytes
            Its content.
        lasting : bool
            It stands whole or not at all, also after a crash. Otherwise only from :meth:`make_lasting` on.
        """

    def create(self, key: str) -> TargetFile:
        """Begin a large file."""

    def make_lasting(self, *, skip: Collection[str] = ()) -> None:
        """See that everything below lasts, but what lies below the folders of `skip`, and does already."""

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""

    def remove_all(self) -> None:
        """Remove the folder with everything below."""

    def remove_partials(self, key: str = "") -> None:
        """Remove what runs that were killed left unfinished, of one file, or of all at any depth."""

    def lock(self, key: str, *, wait: bool = False) -> Lock:
        """Hold a file of that key, so that nobody else does.

        Parameters
        ----------
        key : str
            Its name.
        wait : bool
            Until whoever holds it lets go.

        Raises
        ------
        BlockingIOError
            If somebody else does. Object stores have no locks: there, nobody ever does.
        """


class Lock(Protocol):
    """What is held until it is released, or its process ends."""

    def release(self) -> None:
        """Let go; again is harmless."""


class LocalTarget:
    """A folder on this machine: see :class:`Target`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> LocalTarget:
        return LocalTarget(self.path / name)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """Of the folder itself."""
        return self.path.name

    @property
    def parent(self) -> LocalTarget:
        """The folder that this one lies in."""
        return LocalTarget(self.path.parent)

    @property
    def location(self) -> Path:
        """The path."""
        return self.path

    @property
    def place(self) -> Place:
        """The same folder, for reading."""
        return LocalPlace(self.path)

    @property
    def scratch(self) -> Path:
        """The path itself: temporary files lie beside the store."""
        return self.path

    @property
    def private(self) -> bool:
        """Whether other processes see something else here."""
        return False

    @property
    def at_once(self) -> int:
        """One: a disk that is asked for several files at once is not faster."""
        return 1

    def writable(self) -> bool:
        """Whether this process may write here."""
        return os.access(self.path, os.R_OK | os.W_OK | os.X_OK)

    def standing(self) -> Standing:
        """Return what stands here."""
        if not self.path.exists():
            return "nothing"
        return "folder" if self.path.is_dir() else "other"

    def names(self) -> set[str]:
        """Return the names in the folder."""
        return {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()

    def sizes(self) -> dict[str, int]:
        """Return the keys of all files below, and their bytes."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.stat().st_size for path in files}

    def exists(self, key: str) -> bool:
        """Whether there is a file of that key."""
        return (self.path / key).exists()

    def size(self, key: str) -> int:
        """Return the bytes of a file."""
        return (self.path / key).stat().st_size

    def read(self, key: str) -> bytes:
        """Return a whole file."""
        return (self.path / key).read_bytes()

    def write(self, key: str, data: bytes | memoryview, *, lasting: bool = True) -> None:
        """Put a whole file in its place: see :meth:`Target.write`."""
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if lasting:
            write_durably(path, data)
        else:
            path.write_bytes(data)

    def create(self, key: str) -> TargetFile:
        """Begin a large file."""
        return _LocalFile(self.path / key)

    def make_lasting(self, *, skip: Collection[str] = ()) -> None:
        """See that everything below lasts: see :meth:`Target.make_lasting`."""
        _sync_tree(self.path, {self.path / key for key in skip})

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        (self.path / key).unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Remove the folder with everything below."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
            sync_folder(self.path.parent)

    def remove_partials(self, key: str = "") -> None:
        """Remove what runs that were killed left unfinished."""
        of = f"{glob.escape(key)}.*" if key else "**/*"
        for path in self.path.glob(f"{of}{PARTIAL}"):
            path.unlink(missing_ok=True)  # a worker that has not yet noticed its parent's end may move it away

    def lock(self, key: str, *, wait: bool = False) -> Lock:
        """Hold a file, so that nobody else does: see :meth:`Target.lock`."""
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path.parent, self.path.parent.parent):
                sync_folder(folder)
        return _LocalLock(self.path / key, wait=wait)


class _LocalFile:
    """A large local file: written beside its place, synced, moved there."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._partial = temporary(path)
        self._file = self._partial.open("wb")

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._file.write(data)

    def seal(self) -> None:
        """Write out what was appended."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def place(self) -> None:
        """Put the whole file in its place."""
        self._partial.replace(self._path)
        sync_folder(self._path.parent)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # a full disk refuses the last bytes once more; its error is already on its way
            self._file.close()
        self._partial.unlink(missing_ok=True)


class _LocalLock:
    """A lock that the kernel drops with the process, however it dies: no stale one can stay behind."""

    def __init__(self, path: Path, *, wait: bool) -> None:
        self._descriptor = lock_file(path, wait=wait)

    def release(self) -> None:
        """Let go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _sync_tree(folder: Path, skip: Collection[Path]) -> None:
    for path in folder.iterdir():
        if path in skip:
            continue
        if path.is_dir():
            _sync_tree(path, skip)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)

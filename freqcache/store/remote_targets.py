"""A store that is written to a URL: see :class:`freqcache.store.targets.Target`.

An object store puts whole objects in their places; so large files are written to a temporary file of this machine and
sent when they are finished. There are no locks and no folders.
"""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from freqcache.remote.files import RemoteFiles
from freqcache.remote.retrying import reason
from freqcache.scratch import temporary_folder
from freqcache.store.durable import PARTIAL
from freqcache.store.places import Place
from freqcache.store.remote_places import RemotePlace
from freqcache.store.targets import Lock, Standing, TargetFile

Result = TypeVar("Result")

_AT_ONCE: Final = 16


@dataclass(frozen=True)
class RemoteTarget:
    """A folder at a URL: see :class:`freqcache.store.targets.Target`.

    Attributes
    ----------
    files : RemoteFiles
        Those of the URL.
    prefix : str
        The folder below it; empty for the URL itself.
    """

    files: RemoteFiles
    prefix: str = ""

    def __truediv__(self, name: str) -> RemoteTarget:
        return RemoteTarget(self.files, self._key(name))

    def __str__(self) -> str:
        return f"{self.files}/{self.prefix}" if self.prefix else str(self.files)

    @property
    def name(self) -> str:
        """Of the folder itself."""
        return str(self).rpartition("/")[2]

    @property
    def parent(self) -> RemoteTarget:
        """The folder that this one lies in."""
        if self.prefix:
            return RemoteTarget(self.files, self.prefix.rpartition("/")[0])
        return RemoteTarget(self.files.parent)

    @property
    def location(self) -> str:
        """The URL."""
        return str(self)

    @property
    def place(self) -> Place:
        """The same folder, for reading."""
        return RemotePlace(self.files, self.prefix)

    @property
    def scratch(self) -> Path:
        """A path among the temporary files of this machine, the same each time."""
        digest = hashlib.blake2b(str(self).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        return temporary_folder() / f"freqcache-{digest}-{self.name}"

    @property
    def private(self) -> bool:
        """Whether other processes see something else here: ``memory://`` is of one process."""
        return self.files.url.startswith("memory://")

    @property
    def at_once(self) -> int:
        """As many as hide the time that an object store takes for each."""
        return _AT_ONCE

    def writable(self) -> bool:
        """Whether this process may write here: an object store tells when it is tried."""
        return True

    def standing(self) -> Standing:
        """Return what stands here."""
        empty_folder = self._asking("", lambda: self.files.is_folder(self.prefix))  # where folders are more than names
        if empty_folder or self.names():
            return "folder"
        return "other" if self.exists("") else "nothing"

    def names(self) -> set[str]:
        """Return the names in the folder."""
        return {found.name for found in self._asking("", lambda: self.files.in_folder(self.prefix))}

    def sizes(self) -> dict[str, int]:
        """Return the keys of all files below, and their bytes."""
        return self._asking("", lambda: self.files.sizes(self.prefix))

    def exists(self, key: str) -> bool:
        """Whether there is a file of that key."""
        return self._asking(key, lambda: self.files.exists(self._key(key)))

    def size(self, key: str) -> int:
        """Return the bytes of a file."""
        return self._asking(key, lambda: self.files.size(self._key(key)))

    def read(self, key: str) -> bytes:
        """Return a whole file."""
        return self._asking(key, lambda: self.files.read(self._key(key)))

    def write(self, key: str, data: bytes | memoryview, *, lasting: bool = True) -> None:  # noqa: ARG002 - all lasts
        """Put a whole file in its place: see :meth:`freqcache.store.targets.Target.write`."""
        self._asking(key, lambda: self.files.write(self._key(key), bytes(data)))

    def create(self, key: str) -> TargetFile:
        """Begin a large file."""
        return _RemoteFile(self, key)

    def send(self, key: str, file: BinaryIO) -> None:
        """Put a copy of an open local file in its place."""
        self._asking(key, lambda: self.files.upload(self._key(key), file))

    def make_lasting(self, *, skip: Collection[str] = ()) -> None:
        """Do nothing: what an object store has taken, it keeps."""

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        self._asking(key, lambda: self.files.remove(self._key(key)))

    def remove_all(self) -> None:
        """Remove the folder with everything below."""
        self._asking("", lambda: self.files.remove_all(self.prefix))

    def remove_partials(self, key: str = "") -> None:
        """Remove what runs that were killed left unfinished: only file systems that are no object stores have it."""
        if not self.files.is_object_store:
            for name in self.names() if key else self.sizes():
                if name.endswith(PARTIAL) and name.startswith(f"{key}." if key else ""):
                    self.remove(name)

    def lock(self, key: str, *, wait: bool = False) -> Lock:  # noqa: ARG002 - there are no locks
        """Return a lock that holds nothing: what two builds of one store do at the same time is the same."""
        return _NoLock()

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self.prefix, key) if part)

    def _asking(self, key: str, ask: Callable[[], Result]) -> Result:
        """Return what `ask` returns; whatever the library below raises becomes an OSError that names the file."""
        try:
            return ask()
        except Exception as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
            if isinstance(error, FileNotFoundError):
                number = errno.ENOENT
            raise OSError(number, reason(error), "/".join(part for part in (str(self), key) if part)) from error


class _RemoteFile:
    """A large file: a temporary file of this machine until it is whole.

    That has no name, so it is gone with the process, however that ends: workers are killed where a build fails.
    """

    def __init__(self, target: RemoteTarget, key: str) -> None:
        self._target, self._key = target, key
        folder = temporary_folder()
        with _among_temporary_files():
            self._file: BinaryIO = tempfile.TemporaryFile(prefix="freqcache-", dir=folder)  # noqa: SIM115 - place closes

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with _among_temporary_files():
            self._file.write(data)

    def seal(self) -> None:
        """Write out what was appended."""
        with _among_temporary_files():
            self._file.flush()

    def place(self) -> None:
        """Send the whole file to its place."""
        self._target.send(self._key, self._file)
        self._file.close()

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # a full disk refuses the last bytes once more; its error is already on its way
            self._file.close()


@contextmanager
def _among_temporary_files() -> Iterator[None]:
    """Say that it is this machine's disk that refuses, and not the store's."""
    try:
        yield
    except OSError as error:
        words = f"{error.strerror or error}, among the temporary files of this machine (TMPDIR says where)"
        raise OSError(error.errno, words, str(temporary_folder())) from error


class _NoLock:
    """What object stores have for a lock."""

    def release(self) -> None:
        """Do nothing."""

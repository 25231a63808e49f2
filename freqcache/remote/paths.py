"""A path at a URL, with the few operations of ``pathlib.Path`` that listing and reading sources need; picklable.

Files are reached through one :class:`freqcache.remote.files.RemoteFiles` for each server or bucket and process. What
goes wrong becomes a :class:`freqcache.errors.BuildError` of one line: no image is to blame for a network.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final, TypeVar

from freqcache.errors import BuildError
from freqcache.remote.files import UNUSABLE, RemoteFiles, is_url
from freqcache.remote.listing import Found, Stat
from freqcache.remote.retrying import is_transient, reason

Result = TypeVar("Result")

_HTTP: Final = ("http", "https")
_REFUSED: Final = (401, 403)

_connected: dict[tuple[str, str], RemoteFiles] = {}
"""By server or bucket, and options. After a fork they connect anew by themselves."""


@dataclass(frozen=True)
class RemotePath:
    """A file or a folder at a URL.

    Attributes
    ----------
    url : str
        Without a slash at its end.
    options : dict
        For fsspec's file system.
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        return replace(self, url=name if is_url(name) else join_url(self.url, name))

    @property
    def protocol(self) -> str:
        """The URL's first part."""
        return self.url.partition("://")[0]

    @property
    def server(self) -> str:
        """The URL of the server or the bucket."""
        protocol, _, rest = self.url.partition("://")
        return f"{protocol}://{rest.partition('/')[0]}"

    @property
    def key(self) -> str:
        """What follows the server or the bucket; empty for itself."""
        return self.url.partition("://")[2].partition("/")[2]

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(self.key)

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot; empty if there is none."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder that it is in; the bucket's is itself."""
        return replace(self, url=f"{self.server}/{posixpath.dirname(self.key)}".rstrip("/"))

    @property
    def can_be_listed(self) -> bool:
        """Whether its server tells what is in a folder."""
        return self.protocol not in _HTTP

    @property
    def files(self) -> RemoteFiles:
        """The files of its server or bucket; this one is called :attr:`key` there.

        Raises
        ------
        BuildError
            If the protocol is unknown, or what it needs is not installed.
        """
        place = self.server, json.dumps(self.options, sort_keys=True, default=repr)
        if place not in _connected:
            try:
                _connected[place] = RemoteFiles(self.server, self.options)
            except UNUSABLE as error:
                msg = f"{self.url}: cannot be read: {reason(error)}"
                raise BuildError(msg) from error
        return _connected[place]

    def stat(self) -> Stat | None:
        """Return what it is; None where there is nothing.

        Raises
        ------
        BuildError
            If its server cannot be reached or refuses to say.
        """
        try:
            return self._reaching(lambda: self.files.stat(self.key))
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        """Whether there is a file or a folder; raises as :meth:`stat`."""
        return self.stat() is not None

    def read(self) -> bytes:
        """Return the whole file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        BuildError
            If its server cannot be reached or refuses it.
        """
        return self._reaching(lambda: self.files.read(self.key))

    def read_range(self, start: int, length: int) -> bytes:
        """Return some of the file's bytes, fewer where it ends before; raises as :meth:`read`."""
        (data,) = self._reaching(lambda: self.files.try_ranges([(self.key, start, length)]))
        if isinstance(data, Exception):
            with reaching(self.url):
                raise data
        return data

    def in_folder(self, most: int | None = None) -> list[Found]:
        """Return the files and the folders in it, `most` of them, sorted by name; none where there is no folder.

        Raises
        ------
        BuildError
            If its server cannot be reached, has no such bucket, or refuses to say.
        """
        return sorted(self._listing(lambda: self.files.in_folder(self.key, most)))

    def files_below(self) -> list[Found]:
        """Return the files at any depth below it, in no order; raises as :meth:`in_folder`."""
        return self._listing(lambda: self.files.files_below(self.key))

    def _listing(self, do: Callable[[], list[Found]]) -> list[Found]:
        try:
            return self._reaching(do)
        except FileNotFoundError as error:
            msg = f"{self.url}: cannot be listed: {reason(error)}"
            raise BuildError(msg) from error

    def _reaching(self, do: Callable[[], Result]) -> Result:
        with reaching(self.url):
            return do()


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turn what the libraries below raise into a BuildError of one line; a missing file stays a FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, BuildError):
        raise
    except Exception as error:
        status = getattr(error, "status", None)
        if status in (404, 410):
            raise FileNotFoundError(where) from error
        if isinstance(error, PermissionError) or status in _REFUSED:
            msg = f"{where}: access is refused ({reason(error)}); once it is granted, the same command goes on"
        elif is_transient(error):
            msg = f"{where}: cannot be reached ({reason(error)}); once it can, the same command goes on"
        else:
            msg = f"{where}: cannot be read: {reason(error)}"
        raise BuildError(msg) from error


def join_url(url: str, name: str) -> str:
    """Return the URL of a name below another one; ``..`` leads up, but never above the server or the bucket."""
    if ".." not in name.split("/") and not name.startswith(("/", "./")):
        return f"{url}/{name}"
    protocol, _, rest = url.partition("://")
    server, _, key = rest.partition("/")
    return f"{protocol}://{server}{posixpath.normpath(posixpath.join('/', key, name))}"

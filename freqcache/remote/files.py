"""The files below one URL, through fsspec: whole, by ranges, listed, written; every call with bounded retries.

Credentials, endpoints and regions are fsspec's business: its configuration files, its environment variables, or
``storage_options``. Only bytes pass here; what they mean, others know.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final, TypeVar

from freqcache.remote import s3
from freqcache.remote.listing import Found, Stat, files_below, in_folder, stat
from freqcache.remote.retrying import ATTEMPTS, ATTEMPTS_MORE, NoRangesError, ShortReadError, is_transient, retrying

Result = TypeVar("Result")
Range = tuple[str, int, int]
"""Name, first byte, length."""

EXTRAS: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""Packages that fsspec needs for an object store's protocol, where it names only a module.

They try again by themselves. An object is put in its place whole, and in folders that need not exist."""

CONNECTIONS: Final = 32
"""Requests at the same time from one process."""

UNUSABLE: Final = (ImportError, ValueError, TypeError)
"""What is raised for a URL, or for options, that no file system can be made of."""


def is_url(location: object) -> bool:
    """Whether a location is a URL rather than a path."""
    return isinstance(location, str) and "://" in location


class RemoteFiles:
    """The files below a URL; picklable, and each process has a connection of its own.

    Parameters
    ----------
    url : str
        With a protocol that fsspec knows.
    storage_options : mapping, optional
        For fsspec's file system.

    Attributes
    ----------
    bytes_read, requests : int
        What this process has asked of the store through this object: bytes received, and requests for content.
    is_object_store : bool
        Whether what is written stands in its place whole, and in folders that need not exist.

    Raises
    ------
    ImportError
        Naming the package to install.
    ValueError, TypeError
        If fsspec does not know the protocol, or an option.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/") if not url.endswith("://") else url
        protocol = self.url.partition("://")[0]
        # Other processes write too: a listing that is kept hides what they have made since.
        options = {"use_listings_cache": False, **(storage_options or {})}
        self._options = s3.file_system_options(protocol, options, CONNECTIONS)
        self.is_object_store = protocol in EXTRAS
        self._attempts = ATTEMPTS_MORE if self.is_object_store else ATTEMPTS
        self._whole = s3.whole_file_options(protocol)
        self.bytes_read = self.requests = 0
        self._owner = -1
        self._connect()

    def __str__(self) -> str:
        return self.url

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name not in {"_system", "_root"}}
        return kept | {"bytes_read": 0, "requests": 0, "_owner": -1}

    def _connect(self) -> tuple[Any, str]:
        """Return this process' file system, and the path of the URL in it."""
        if self._owner != os.getpid():  # connections, and the thread that serves them, do not survive a fork
            from fsspec.core import url_to_fs

            try:
                self._system, self._root = url_to_fs(self.url, **self._options)
            except ImportError as error:
                package = EXTRAS.get(self.url.partition("://")[0])
                msg = (
                    f"{self.url}: {error}" if package is None else f"{self.url}: needs {package}: pip install {package}"
                )
                raise ImportError(msg) from error
            self._owner = os.getpid()
        return self._system, self._root

    def _path(self, name: str) -> str:
        root = self._connect()[1]
        return f"{root}/{name}" if name else root

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return a file's bytes, or those of a range; fewer where the file ends before."""

        def attempt() -> bytes:
            self.requests += 1
            data: bytes = self._connect()[0].cat_file(self._path(name), start=start, end=end, **self._whole)
            return data

        data = retrying(attempt, attempts=self._attempts)
        self.bytes_read += len(data)
        return data

    def read_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return those of several files that can be read, at the same time where the file system can.

        One that is missing, or could not be read in as many attempts as others, is not among them.
        """
        found: list[bytes | Exception | None] = [None] * len(names)

        def ask(some: Sequence[int]) -> Sequence[bytes | Exception]:
            paths = [self._path(names[i]) for i in some]
            results: list[bytes | Exception] = self._connect()[0].cat_ranges(
                paths, None, None, on_error="return", **self._whole
            )
            return results

        with suppress(Exception):  # whoever needs what is not here asks for it by itself, and is told why
            self._fill(found, ask)
        return {name: data for name, data in zip(names, found, strict=True) if isinstance(data, bytes)}

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return several ranges, at the same time where the file system can.

        Raises
        ------
        ShortReadError
            If a file ends before its range does.
        """
        found = self.try_ranges(ranges, fewer=False)
        for data in found:
            if isinstance(data, Exception):
                raise data
        return [data for data in found if isinstance(data, bytes)]

    def try_ranges(self, ranges: Sequence[Range], *, fewer: bool = True) -> list[bytes | Exception]:
        """Return of each range its bytes, or an error that no other attempt would mend: a missing file, a refusal.

        Parameters
        ----------
        ranges : sequence of Range
            Asked for at the same time where the file system can.
        fewer : bool
            Whether a file may end before its range does.

        Raises
        ------
        Exception
            What a range still failed at after the last attempt, if another one might help.
        """
        found: list[bytes | Exception | None] = [None] * len(ranges)

        def ask(some: Sequence[int]) -> Sequence[bytes | Exception]:
            names, starts, lengths = zip(*(ranges[i] for i in some), strict=True)
            results: list[bytes | Exception] = self._connect()[0].cat_ranges(
                [self._path(name) for name in names],
                list(starts),
                [start + length for start, length in zip(starts, lengths, strict=True)],
                on_error="return",
            )
            return results

        self._fill(found, ask, lambda i, result: _checked(result, ranges[i], fewer=fewer))
        return [data for data in found if data is not None]

    def _fill(
        self,
        found: list[bytes | Exception | None],
        ask: Callable[[Sequence[int]], Sequence[bytes | Exception]],
        judge: Callable[[int, bytes | Exception], bytes | Exception] = lambda _, result: result,
    ) -> None:
        """Fill what is missing in `found`, in as many attempts as that takes and may take.

        Parameters
        ----------
        found : list
            None where something is missing. Gets bytes, or an error that no other attempt would mend.
        ask : callable
            Returns what the file system gives for some places in `found`, asked for at the same time.
        judge : callable
            Returns what to make of that for one place: itself by default.

        Raises
        ------
        Exception
            What a place still failed at after the last attempt, if another one might help.
        """

        def attempt() -> None:
            missing = [i for i, data in enumerate(found) if data is None]
            self.requests += len(missing)
            failures: list[Exception] = []
            for i, result in zip(missing, ask(missing), strict=True):
                self.bytes_read += 0 if isinstance(result, Exception) else len(result)
                judged = judge(i, result)
                if isinstance(judged, Exception) and is_transient(judged):
                    failures.append(judged)
                else:
                    found[i] = judged
            if failures:
                raise failures[0]

        if found:
            retrying(attempt, attempts=self._attempts)

    def size(self, name: str) -> int:
        """Return the length of a file in bytes."""
        return int(retrying(lambda: self._connect()[0].info(self._path(name))["size"], attempts=self._attempts))

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of that name."""
        return bool(retrying(lambda: self._connect()[0].exists(self._path(name)), attempts=self._attempts))

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name, with files or, where that can be, without."""
        return bool(retrying(lambda: self._connect()[0].isdir(self._path(name)), attempts=self._attempts))

    @property
    def parent(self) -> RemoteFiles:
        """The files of the folder that this URL lies in."""
        protocol, _, path = self.url.partition("://")
        return RemoteFiles(f"{protocol}://{path.rpartition('/')[0]}", self._options)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names of all files below a folder, hidden ones too, relative to it, and their bytes.

        Of a store, which has few files; for many, see :meth:`files_below`.
        """

        def attempt() -> dict[str, int]:
            system, path = self._connect()[0], self._path(folder).rstrip("/")
            found = system.find(path, detail=True)
            return {
                name[len(path) + 1 :]: int(info["size"]) for name, info in found.items() if name.startswith(f"{path}/")
            }

        return retrying(attempt, attempts=self._attempts)

    def write(self, name: str, data: bytes) -> None:
        """Put a file with some content in its place; it stands there whole or not at all."""
        self._put(name, lambda system, path: system.pipe_file(path, data))

    def upload(self, name: str, local: BinaryIO) -> None:
        """Put a copy of an open local file, all of it, in its place; it stands there whole or not at all."""

        def put(system: Any, path: str) -> None:
            local.seek(0)  # where /dev/fd shares the position of the file, what an earlier attempt read
            system.put_file(f"/dev/fd/{local.fileno()}", path)  # a file that need not have a name

        self._put(name, put)

    def _put(self, name: str, put: Callable[[Any, str], object]) -> None:
        def attempt() -> None:
            system, path = self._connect()[0], self._path(name)
            if self.is_object_store:
                put(system, path)
                return
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            partial = f"{path}.{uuid.uuid4().hex}.partial"
            try:
                put(system, partial)
                system.mv(partial, path)
            finally:
                with suppress(FileNotFoundError):
                    system.rm_file(partial)

        retrying(attempt, attempts=self._attempts)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

        def attempt() -> None:
            with suppress(FileNotFoundError):
                self._connect()[0].rm_file(self._path(name))

        retrying(attempt, attempts=self._attempts)

    def remove_all(self, folder: str) -> None:
        """Remove everything below a folder."""

        def attempt() -> None:
            with suppress(FileNotFoundError):
                self._connect()[0].rm(self._path(folder), recursive=True)

        retrying(attempt, attempts=self._attempts)

    def stat(self, name: str) -> Stat:
        """Return what a file or a folder is.

        Raises
        ------
        FileNotFoundError
            If there is neither.
        """
        return retrying(lambda: stat(self._connect()[0], self._path(name)), attempts=self._attempts)

    def in_folder(self, name: str, most: int | None = None) -> list[Found]:
        """Return the files and the folders in a folder, `most` of them, in no order; none where there is no folder."""
        return retrying(lambda: in_folder(self._connect()[0], self._path(name), most), attempts=self._attempts)

    def files_below(self, name: str) -> list[Found]:
        """Return the files at any depth below a folder, in no order; hidden folders may be left out."""
        return retrying(lambda: files_below(self._connect()[0], self._path(name)), attempts=self._attempts)


def _checked(result: Any, wanted: Range, *, fewer: bool) -> bytes | Exception:
    """Return what a request for a range gave, or what is wrong with it."""
    name, start, length = wanted
    if isinstance(result, Exception):
        return b"" if fewer and _begins_behind_the_end(result) else result
    data = bytes(result)
    if len(data) > length:
        # A server that knows no ranges sends the whole file.
        return data[:length] if start == 0 else NoRangesError(f"{name}: the server sends whole files, and no ranges")
    if len(data) < length and not fewer:
        return ShortReadError(f"{name} gave {len(data)} of {length} bytes from {start} on")
    return data


def _begins_behind_the_end(error: Exception) -> bool:
    """Whether a server refused a range because the file ends before it: status 416, in each library's words."""
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    status = getattr(error, "status", None)  # of aiohttp, whose ``code`` warns
    return code in ("InvalidRange", "416") or (getattr(error, "code", None) if status is None else status) == 416

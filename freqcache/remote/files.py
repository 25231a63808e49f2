"""The files below one URL, through fsspec: whole, by ranges, listed, written; every call with bounded retries.

Credentials, endpoints and regions are fsspec's business: its configuration files, its environment variables, or
``storage_options``. Only bytes pass here; what they mean, others know.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from freqcache.remote.retrying import ATTEMPTS, ATTEMPTS_MORE, ShortReadError, is_transient, retrying

Result = TypeVar("Result")
Range = tuple[str, int, int]
"""Name, first byte, length."""

EXTRAS: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""Packages that fsspec needs for a protocol, where it names only a module. They try again by themselves."""

_S3: Final = frozenset({"s3", "s3a"})


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

    Raises
    ------
    ImportError
        Naming the package to install.
    ValueError
        If fsspec does not know the protocol.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/") if not url.endswith("://") else url
        self._options = dict(storage_options or {})
        protocol = self.url.partition("://")[0]
        self._attempts = ATTEMPTS_MORE if protocol in EXTRAS else ATTEMPTS
        # s3fs asks for an object's length first, to read a long one in parts at the same time; ours are short.
        self._whole = {"max_concurrency": 1} if protocol in _S3 else {}
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

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return several ranges, at the same time where the file system can.

        Raises
        ------
        ShortReadError
            If a file ends before its range does.
        """
        found: list[bytes | None] = [None] * len(ranges)

        def attempt() -> None:
            missing = [i for i, data in enumerate(found) if data is None]
            names, starts, lengths = zip(*(ranges[i] for i in missing), strict=True)
            self.requests += len(missing)
            results = self._connect()[0].cat_ranges(
                [self._path(name) for name in names],
                list(starts),
                [start + length for start, length in zip(starts, lengths, strict=True)],
                on_error="return",
            )
            failures: list[Exception] = []
            for i, length, result in zip(missing, lengths, results, strict=True):
                if isinstance(result, Exception):
                    failures.append(result)
                elif len(result) != length:
                    self.bytes_read += len(result)
                    name, start, _ = ranges[i]
                    failures.append(ShortReadError(f"{name} gave {len(result)} of {length} bytes from {start} on"))
                else:
                    self.bytes_read += length
                    found[i] = result
            if failures:  # one that no other attempt would mend comes first
                raise min(failures, key=is_transient)

        if ranges:
            retrying(attempt, attempts=self._attempts)
        return [data for data in found if data is not None]

    def size(self, name: str) -> int:
        """Return the length of a file in bytes."""
        return int(retrying(lambda: self._connect()[0].info(self._path(name))["size"], attempts=self._attempts))

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of that name."""
        return bool(retrying(lambda: self._connect()[0].exists(self._path(name)), attempts=self._attempts))

"""What lies in a folder at a URL, and what stands for the version of a file, whatever file system fsspec has for it.

Object stores are listed page by page: fsspec's own ``find`` keeps a dictionary for each object, which is a kilobyte,
and its caches never forget one. What is kept here of an object are its name, size and version. Nothing is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import xxhash

_TAGS: Final = ("ETag", "etag", "generation", "md5Hash", "Content-MD5")
_TIMES: Final = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "created")
"""What servers call the version of a file, best first; where there is none, the time of its last change."""

_VERSION_BITS: Final = 63


class Found(NamedTuple):
    """A file or a folder in a listing.

    Attributes
    ----------
    name : str
        Relative to the folder that was listed.
    is_folder : bool
        Whether it is one.
    size, version : int
        Of a file: see :class:`Stat`.
    """

    name: str
    is_folder: bool
    size: int
    version: int


class Stat(NamedTuple):
    """What a server says of a file.

    Attributes
    ----------
    is_folder : bool
        Whether it is none, but a folder.
    size : int
        Bytes; -1 where the server does not say.
    version : int
        A number that is another one when the file is: of its ETag, or of the time of its last change. 0 where the
        server says neither.
    """

    is_folder: bool
    size: int
    version: int


def stat(system: Any, path: str) -> Stat:
    """Return what a file or a folder is.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    try:
        info = system.info(path)
    except FileNotFoundError as error:
        # HTTP's file system says this of everything that went wrong, and has what did as the cause.
        cause = error.__cause__
        if cause is not None and getattr(cause, "status", 404) not in (404, 410) and not _is_botocore(cause):
            raise cause from None
        raise
    size = info.get("size")
    return Stat(info.get("type") == "directory", -1 if size is None else int(size), version_of(info))


def in_folder(system: Any, path: str, most: int | None = None) -> list[Found]:
    """Return the files and the folders in a folder, `most` of them, in no order; none where there is no folder."""
    if hasattr(system, "_iterdir"):
        return _pages(system, path, "/", most)
    try:
        listed = system.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    finally:
        system.invalidate_cache(path)  # it would keep every folder
    return [found for info in listed if (found := _found(info, path)) is not None][:most]


def files_below(system: Any, path: str) -> list[Found]:
    """Return the files at any depth below a folder, in no order; hidden folders may be left out."""
    if hasattr(system, "_iterdir"):  # one request for a thousand objects, in however many folders
        return _pages(system, path, "")
    files: list[Found] = []
    for found in in_folder(system, path):
        if not found.is_folder:
            files.append(found)
        elif not found.name.startswith("."):
            below = files_below(system, f"{path}/{found.name}")
            files += [file._replace(name=f"{found.name}/{file.name}") for file in below]
    return files


def version_of(info: Mapping[str, Any]) -> int:
    """Return the number that stands for the version of a file: see :class:`Stat`."""
    value = next((info[key] for key in (*_TAGS, *_TIMES) if info.get(key)), None)
    if value is None:
        return 0
    text = repr(value.timestamp()) if isinstance(value, datetime) else str(value).strip('"')
    return xxhash.xxh3_64_intdigest(text.encode()) >> (64 - _VERSION_BITS)


def _pages(system: Any, path: str, delimiter: str, most: int | None = None) -> list[Found]:
    """List a folder of s3fs, which gives the objects of a page at a time, without its cache."""
    from fsspec.asyn import sync

    bucket, key, _ = system.split_path(path)
    prefix = f"{key.rstrip('/')}/" if key else ""

    async def collect() -> list[Found]:
        listed: list[Found] = []
        async for info in system._iterdir(bucket, delimiter=delimiter, prefix=prefix):
            found = _found(info, f"{bucket}/{prefix}")
            if found is not None:
                listed.append(found)
            if len(listed) == most:
                break
        return listed

    result: list[Found] = sync(system.loop, collect)
    return result


def _found(info: Mapping[str, Any], path: str) -> Found | None:
    """Return an entry of a listing; None for the object that stands for the folder itself or for one in it."""
    name = str(info["name"])
    folder = info.get("type") == "directory"
    if not folder and name.endswith("/"):
        return None
    relative = name.rstrip("/")[len(path.rstrip("/")) + 1 :]
    if not relative:
        return None
    return Found(relative, folder, int(info.get("size") or 0), 0 if folder else version_of(info))


def _is_botocore(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == "botocore"

"""Reads images at URLs: objects of their own, and those that lie as they are in tars; many at the same time.

One image is one request for a range. What went wrong is told apart: an object that is missing or is another one than
was listed is an image that cannot be used, as a local file would be; a server that cannot be reached, or that refuses,
ends the build, which goes on later. A container (a tar) is looked at when a process first reads from it, and all of
them again when a build has read everything: one that was replaced meanwhile must not have given images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from freqcache.ahead import ahead
from freqcache.errors import BuildError, SourceError
from freqcache.remote.files import CONNECTIONS, Range
from freqcache.remote.paths import RemotePath, reaching
from freqcache.sources.files import changed
from freqcache.sources.remote_stream import check_version
from freqcache.sources.tree import SourceFile, SourceTree

_unchanged: set[tuple[str, int]] = set()
"""Containers that this process found to be what was listed: URL and version."""


@dataclass(frozen=True, kw_only=True)
class RemoteReader:
    """Reads files below a URL, or at URLs of their own: see :class:`freqcache.sources.tree.SourceReader`."""

    root: RemotePath

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        (data,) = self.read_many([file], length)
        if isinstance(data, SourceError):
            raise data
        return data

    def read_many(self, files: Sequence[SourceFile], length: int = -1) -> list[bytes | SourceError]:
        """Return the same of several files, read at the same time; of one that cannot be read, why.

        Raises
        ------
        BuildError
            If the source as a whole cannot be reached, has vanished, or is not what was listed.
        """
        _check_containers(self.root, files)
        found: list[bytes | SourceError] = [b""] * len(files)
        by_server: dict[str, list[int]] = {}
        paths = [self.root / (file.container or file.path) for file in files]
        for i, (path, file) in enumerate(zip(paths, files, strict=True)):
            if file.size > 0:  # no range of an empty object can be asked for
                by_server.setdefault(path.server, []).append(i)
        for server, numbers in by_server.items():
            ranges = [_range(paths[i], files[i], length) for i in numbers]
            with reaching(str(paths[numbers[0]]) if len(numbers) == 1 else server):
                results = paths[numbers[0]].files.try_ranges(ranges)
            for i, result in zip(numbers, results, strict=True):
                found[i] = _judged(paths[i], files[i], length, result)
        return found


def confirm_unchanged(tree: SourceTree) -> None:
    """Check that the containers of a source at a URL are still what was listed.

    Raises
    ------
    BuildError
        If one is not: what was read of it cannot be trusted.
    """
    if isinstance(tree.root, RemotePath) and isinstance(tree.reader.root, RemotePath) and tree.identity:
        root = tree.reader.root
        listed = [(root / name, version) for name, _, version in json.loads(tree.identity)]
        for _ in ahead(lambda one: check_version(*one), listed, CONNECTIONS):
            pass


def _check_containers(root: RemotePath, files: Sequence[SourceFile]) -> None:
    different = {(file.container, file.mtime_ns) for file in files if file.container}
    unknown = [one for one in sorted(different) if (str(root / one[0]), one[1]) not in _unchanged]
    for _ in ahead(lambda one: check_version(root / one[0], one[1]), unknown, CONNECTIONS):
        pass
    _unchanged.update((str(root / name), version) for name, version in unknown)


def _range(path: RemotePath, file: SourceFile, length: int) -> Range:
    wanted = file.size if length < 0 else min(length, file.size)
    # Of an object that is to be read whole, a byte more: if there is one, it is no longer the object that was listed.
    more = 0 if file.container or wanted < file.size else 1
    return path.key, file.position if file.container else 0, wanted + more


def _judged(path: RemotePath, file: SourceFile, length: int, result: bytes | Exception) -> bytes | SourceError:
    """Return what was read, or why this file cannot be used; raise what ends the build."""
    wanted = file.size if length < 0 else min(length, file.size)
    if isinstance(result, Exception):
        try:
            with reaching(str(path)):
                raise result
        except FileNotFoundError:
            return _missing(path, file)
    if len(result) == wanted:
        return result
    if file.container:
        raise BuildError(changed(path))
    size = f"{len(result)} bytes" if len(result) < wanted else "more bytes"
    return SourceError(f"has changed since it was listed: {size}, and not {wanted}")


def _missing(path: RemotePath, file: SourceFile) -> SourceError:
    """Tell a missing object, which a build passes over, from a source that has vanished."""
    if file.container:
        msg = f"{path}: this file of the source is no longer there"
        raise BuildError(msg)
    if path.can_be_listed and not path.parent.exists():
        msg = f"{path.parent}: this folder of the source has vanished; once it is back, the same command goes on"
        raise BuildError(msg)
    return SourceError("cannot be read: no such object")

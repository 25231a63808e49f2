"""Lists the images in WebDataset tars without unpacking them: headers and classes are read, images are passed over.

Source: the WebDataset convention (members whose names agree up to the first dot of the last part are one sample) over
what Python's ``tarfile`` reads: ustar, pax, GNU. Where WebDataset wants a sample's members next to each other, here
they may lie anywhere in one tar. What a sample's class is, is told by :mod:`freqcache.sources.tar_labels`.
"""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeAlias

from freqcache.ahead import ahead
from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import Entry, Listing, assemble
from freqcache.sources.containers import Container, Containers
from freqcache.sources.files import RangeReader, opened_container
from freqcache.sources.folder import IMAGE_SUFFIXES
from freqcache.sources.remote_reading import RemoteReader
from freqcache.sources.remote_stream import RemoteStream, check_version
from freqcache.sources.tar_labels import LABEL_EXTENSIONS, ClassList, label_of
from freqcache.sources.tree import SourceTree

_BLOCK: Final = tarfile.BLOCKSIZE
_MAGIC: Final = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"(\xb5": "unzstd"}
_LONGEST_LABEL: Final = 1 << 24
_TARS_AT_A_TIME: Final = 8
_BLOCK_AT_A_TIME: Final = 4 << 20
"""Tars at URLs that are listed at the same time, and bytes of each that are asked for at once (``docs/sources.md``)."""

ReadAt: TypeAlias = Callable[[int, int], bytes]
Stream: TypeAlias = IO[bytes] | RemoteStream

_IMAGES: Final = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)


@dataclass(slots=True)
class _Sample:
    """What was found so far of one key; `text` is its class."""

    image: str = ""
    position: int = 0
    size: int = 0
    text: str = ""
    text_from: str = ""
    problem: str = ""
    members: int = 0


def list_tars(containers: Containers, scratch: Path | None = None) -> SourceTree:
    """List the samples of some tars, in the order of the tars and of their members.

    Raises
    ------
    BuildError
        If a tar cannot be read, is compressed, damaged or cut off, or holds a sparse image; if a class is not in the
        list of classes that lies beside the tars; or if there is no sample.
    """
    classes = ClassList.beside(containers.root)
    listing = Listing(scratch)
    ignored = 0
    for container, (samples, others) in zip(containers.found, _all_samples(containers), strict=True):
        ignored += others
        for key, sample in samples.items():
            if not sample.image and not sample.text_from:
                ignored += sample.members
                continue
            listing.add(container.split, _entry(container, key, sample, classes))
    root = containers.root
    return assemble(
        containers.source,
        RemoteReader(root=root) if isinstance(root, RemotePath) else RangeReader(root=root),
        listing,
        classes=classes.names or None,
        ignored=ignored,
        identity=containers.identity,
    )


def _entry(container: Container, key: str, sample: _Sample, classes: ClassList) -> Entry:
    path = f"{container.name}/{sample.image or key}"
    problem = sample.problem
    if not sample.image:
        problem = f"no image beside its .{sample.text_from}"
    elif not problem and not sample.text_from:
        problem = "no class: expected a .cls, or a .json with a label, beside it"
    name = "" if problem else sys.intern(classes.name_of(sample.text, path))
    return Entry(
        path=path,
        name=name,
        size=sample.size,
        mtime_ns=container.mtime_ns,
        container=container.name,
        position=sample.position,
        problem=problem,
    )


def _all_samples(containers: Containers) -> Iterator[tuple[dict[str, _Sample], int]]:
    """Yield what :func:`_samples` returns of each tar, in order; several are read at the same time at a URL."""
    root = containers.root
    if isinstance(root, RemotePath):
        yield from ahead(partial(_samples_at, root), containers.found, _TARS_AT_A_TIME)
        return
    for container in containers.found:
        path = root / container.name
        with opened_container(path, container.mtime_ns) as file, os.fdopen(os.dup(file.fileno()), "rb") as stream:
            yield _samples(path, stream, partial(os.pread, file.fileno()))


def _samples_at(root: RemotePath, container: Container) -> tuple[dict[str, _Sample], int]:
    path = root / container.name
    stream = RemoteStream(path, container.size, _BLOCK_AT_A_TIME)
    found = _samples(path, stream, stream.read_at)
    check_version(path, container.mtime_ns)  # it was the same all the while
    return found


def _samples(path: Path | RemotePath, stream: Stream, read_at: ReadAt) -> tuple[dict[str, _Sample], int]:
    """Return the samples of a tar by key, and how many members belong to none.

    Parameters
    ----------
    path : Path or RemotePath
        The tar.
    stream : file
        Its content.
    read_at : callable
        Takes a length and a place in the tar, and returns the bytes there.
    """
    samples: dict[str, _Sample] = {}
    ignored = 0
    for member in _members(path, stream, read_at):
        if member.isdir():
            continue
        name = member.name.removeprefix("./")
        folder, slash, base = name.rpartition("/")
        stem, dot, extension = base.partition(".")
        if not member.isreg() or not stem or not dot or (stem.startswith("__") and base.endswith("__")):
            ignored += 1
            continue
        sample = samples.setdefault(folder + slash + stem, _Sample())
        sample.members += 1
        extension = extension.lower()
        if extension in _IMAGES:
            if member.issparse():
                msg = f"{path}: {name} is stored sparse; make the tar again without --sparse"
                raise BuildError(msg)
            if sample.image:
                sample.problem = f"two images in one sample: {sample.image} and {name}"
            sample.image, sample.position, sample.size = name, member.offset_data, member.size
        elif extension in LABEL_EXTENSIONS and not sample.problem:
            _take_label(sample, extension, member, read_at)
    return samples, ignored


def _take_label(sample: _Sample, extension: str, member: tarfile.TarInfo, read_at: ReadAt) -> None:
    """Read the class that a member says; a ``.cls`` is believed before a ``.json``."""
    if extension == "json" and sample.text_from == "cls":
        return
    if extension == "cls" and sample.text_from == "cls":
        sample.problem = "two classes in one sample: it has .cls twice"
        return
    if member.size > _LONGEST_LABEL:
        sample.problem = f".{extension}: too long for a class ({member.size} bytes)"
        return
    try:
        text = label_of(extension, read_at(member.size, member.offset_data))
    except ValueError as error:
        sample.problem = f".{extension}: {error}"
        return
    if text is not None:
        sample.text, sample.text_from = text, extension


def _members(path: Path | RemotePath, stream: Stream, read_at: ReadAt) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members, none of them kept; raise at the end of one that is cut off or damaged.

    ``tarfile`` itself ends quietly at a header that is cut or damaged, so that the end must be looked at: a whole tar
    ends with blocks of zeros.
    """
    start = read_at(2, 0)
    if start in _MAGIC:
        msg = (
            f"{path}: is compressed, and images could not be read from their places; unpack it first ({_MAGIC[start]})"
        )
        raise BuildError(msg)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # a million of them would take gigabytes
                yield member
            end = read_at(_BLOCK, archive.offset)
    except (tarfile.TarError, ValueError) as error:  # ValueError: numbers of pax headers
        msg = f"{path}: is damaged, cut off, or no tar file: {error}"
        raise BuildError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise BuildError(msg) from error
    if end != bytes(_BLOCK):
        what = "no valid header" if len(end) == _BLOCK else "it is cut off, or is still being written"
        msg = f"{path}: is not whole: {what} at byte {archive.offset}; repair it, or leave it out of the source"
        raise BuildError(msg)

"""Lists the images in WebDataset tars without unpacking them: headers and classes are read, images are passed over.

Source: the WebDataset convention (members whose names agree up to the first dot of the last part are one sample) over
what Python's ``tarfile`` reads: ustar, pax, GNU. Where WebDataset wants a sample's members next to each other, here
they may lie anywhere in one tar. What a sample's class is, is told by :mod:`freqcache.sources.tar_labels`.
"""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from freqcache.errors import BuildError
from freqcache.sources.assembly import Entry, Listing, assemble
from freqcache.sources.containers import Container, Containers
from freqcache.sources.files import RangeReader, opened_container
from freqcache.sources.folder import IMAGE_SUFFIXES
from freqcache.sources.tar_labels import LABEL_EXTENSIONS, ClassList, label_of
from freqcache.sources.tree import SourceTree

_BLOCK: Final = tarfile.BLOCKSIZE
_MAGIC: Final = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"(\xb5": "unzstd"}
_LONGEST_LABEL: Final = 1 << 24
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
    for container in containers.found:
        samples, others = _samples(containers.root / container.name, container)
        ignored += others
        for key, sample in samples.items():
            if not sample.image and not sample.text_from:
                ignored += sample.members
                continue
            listing.add(container.split, _entry(container, key, sample, classes))
    reader = RangeReader(root=containers.root)
    return assemble(
        containers.source,
        reader,
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


def _samples(path: Path, container: Container) -> tuple[dict[str, _Sample], int]:
    """Return the samples of a tar by key, and how many members belong to none."""
    samples: dict[str, _Sample] = {}
    ignored = 0
    with opened_container(path, container.mtime_ns) as file:
        for member in _members(path, file.fileno()):
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
                _take_label(sample, extension, member, file.fileno())
    return samples, ignored


def _take_label(sample: _Sample, extension: str, member: tarfile.TarInfo, descriptor: int) -> None:
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
        text = label_of(extension, os.pread(descriptor, member.size, member.offset_data))
    except ValueError as error:
        sample.problem = f".{extension}: {error}"
        return
    if text is not None:
        sample.text, sample.text_from = text, extension


def _members(path: Path, descriptor: int) -> Iterator[tarfile.TarInfo]:
    """Yield a tar's members, none of them kept; raise at the end of one that is cut off or damaged.

    ``tarfile`` itself ends quietly at a header that is cut or damaged, so that the end must be looked at: a whole tar
    ends with blocks of zeros.
    """
    start = os.pread(descriptor, 2, 0)
    if start in _MAGIC:
        msg = (
            f"{path}: is compressed, and images could not be read from their places; unpack it first ({_MAGIC[start]})"
        )
        raise BuildError(msg)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # a million of them would take gigabytes
                yield member
            end = os.pread(descriptor, _BLOCK, archive.offset)
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

"""Writes the files of one row group: the unit of work of an export, done by a worker process or in the caller's.

A file that is there already is known by its bytes. Any other is written under another name, read back, compared with
the cache, and renamed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import xxhash

from freqcache.errors import ExportError
from freqcache.exporting.images import ImageReader, SampleImage
from freqcache.store import open_store
from freqcache_formats.mask import ChannelMask

WORK_FOLDER: Final = ".freqcache-export"
"""Folder inside the export, while it runs, of its lock and of files that are being written."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What is the same for all tasks.

    Attributes
    ----------
    store, id : str
        Path or URL of the cache, and its id.
    mask : ChannelMask
        Channels to take.
    folder : Path
        The export's, resolved; it holds ``WORK_FOLDER``.
    verify, overwrite : bool
        As for :func:`freqcache.exporting.folder.export_jpegs`.
    """

    store: str
    id: str
    mask: ChannelMask
    folder: Path
    verify: bool
    overwrite: bool


@dataclass(frozen=True, kw_only=True)
class GroupTask:
    """The wanted samples of one row group; picklable."""

    options: WriteOptions
    split: str
    slots: npt.NDArray[np.intp]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one sample; `reason` is empty unless its file was refused."""

    slot: int
    name: str
    size: int = 0
    written: bool = False
    exact: bool = True
    reason: str = ""


@lru_cache(maxsize=2)
def _reader(store: str, store_id: str, split: str, mask: tuple[int, ...]) -> ImageReader:
    opened = open_store(store)
    if opened.id != store_id:
        msg = f"{store}: replaced by another store while it was exported"
        raise ExportError(msg)
    return ImageReader(opened, split, ChannelMask.from_indices(mask))


def write_group_files(task: GroupTask) -> tuple[str, list[Outcome]]:
    """Write the files of one row group; return the split and what became of each sample.

    Raises
    ------
    ExportError
        If another store stands where the cache was.
    StoreError
        If the cache cannot be read.
    OSError
        If a file cannot be written.
    """
    options = task.options
    reader = _reader(options.store, options.id, task.split, tuple(options.mask.indices.tolist()))
    found = []
    slots = task.slots.tolist()
    for slot, name, image in zip(slots, task.names, reader.read(task.slots), strict=True):
        try:
            size, written = _put(image, options.folder, name, options, reader, slot)
            found.append(Outcome(slot=slot, name=name, size=size, written=written, exact=image.exact))
        except ExportError as error:
            found.append(Outcome(slot=slot, name=name, reason=str(error)))
    return task.split, found


def _put(
    image: SampleImage, folder: Path, name: str, options: WriteOptions, reader: ImageReader, slot: int
) -> tuple[int, bool]:
    """Put one file at its place; return its size, and whether it had to be written."""
    data = image.encode()
    path = folder / name
    _make_folder(path.parent, folder)
    there = _existing(path)
    if there == data:
        return len(data), False
    if there is not None:
        digest = reader.split.values("source_digest")[slot].tobytes()
        if xxhash.xxh3_128_digest(there) == digest:
            msg = "this is the file that the cache was built from, which is never replaced"
            raise ExportError(msg)
        if not options.overwrite:
            msg = "a file with other content stands there; --overwrite replaces it"
            raise ExportError(msg)
    partial = folder / WORK_FOLDER / f"{os.getpid()}.partial"
    partial.write_bytes(data)
    if options.verify:
        image.check(partial.read_bytes())
    partial.replace(path)
    return len(data), True


def _make_folder(folder: Path, root: Path) -> None:
    """Make a folder of the export, unless a link leads out of it."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(root):
        msg = f"{folder} is a link that leads out of {root}"
        raise ExportError(msg)


def _existing(path: Path) -> bytes | None:
    """Return what stands at a file's place; None for nothing."""
    if not path.exists():
        if path.is_symlink():
            msg = "a link that leads nowhere stands there"
            raise ExportError(msg)
        return None
    if not path.is_file():
        msg = "something that is no file stands there"
        raise ExportError(msg)
    return path.read_bytes()

"""Lists the images in what ``save_to_disk`` of Hugging Face ``datasets`` wrote: Arrow streams, and JSON beside them.

The images lie in the Arrow files as they are, so listing finds their places and reading needs no Arrow.
Source: the Arrow columnar format, variable-size binary layout. The files are mapped while they are listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from freqcache.errors import BuildError
from freqcache.sources.assembly import Entry, Listing, assemble, split_named
from freqcache.sources.containers import Container, Containers
from freqcache.sources.files import RangeReader, opened_container
from freqcache.sources.huggingface import (
    UNREADABLE,
    Columns,
    classes_of,
    find_columns,
    load_pyarrow,
    row_name,
    same_classes,
)
from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT, SourceTree

_STATE: Final = "state.json"
_SPLITS: Final = "dataset_dict.json"


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote a folder: of one dataset, or of several splits."""
    return (folder / _SPLITS).is_file() or (folder / _STATE).is_file()


def list_saved(folder: Path, scratch: Path | None = None) -> SourceTree:
    """List the rows of a saved dataset.

    Raises
    ------
    BuildError
        If pyarrow is missing, a file is missing or cannot be read, the rows are reordered by indices, or there are no
        images or labels in it.
    """
    containers = _containers(folder)
    listing = Listing(scratch)
    classes: tuple[str, ...] | None = None
    for number, container in enumerate(containers.found):
        path = folder / container.name
        arrow = load_pyarrow("pyarrow", str(path))
        with opened_container(path, container.mtime_ns):
            try:
                with arrow.memory_map(str(path)) as file:
                    content = file.read_buffer()
                    stream = arrow.ipc.open_stream(content)
                    columns = find_columns(stream.schema, str(path))
                    classes = same_classes(classes, columns.classes, str(path), first=number == 0)
                    for entry in _entries(container, stream, columns, content):
                        listing.add(container.split, entry)
            except UNREADABLE as error:
                msg = f"{path}: is damaged, or no Arrow stream: {error}"
                raise BuildError(msg) from error
    reader = RangeReader(root=folder)
    return assemble(folder, reader, listing, classes=classes, identity=containers.identity)


def _entries(container: Container, stream: Any, columns: Columns, content: Any) -> Iterator[Entry]:
    row = 0
    for batch in stream:
        batch.validate(full=True)  # the offsets, not the images: a damaged offset would lead outside of the file
        image = batch.column(columns.image)
        nested = columns.data != columns.image
        data = image.field("bytes") if nested else image
        paths = image.field("path").to_pylist() if columns.path else [None] * len(batch)
        valid = data.is_valid().to_pylist() if data.null_count or image.null_count else [True] * len(batch)
        starts, lengths = _places(data, content, container.name)
        labels = classes_of(batch.column(columns.label).to_pylist(), columns.classes)
        for (name, problem), path, there, start, length in zip(labels, paths, valid, starts, lengths, strict=True):
            yield Entry(
                path=row_name(container.name, row, path),
                name=name,
                size=length,
                mtime_ns=container.mtime_ns,
                container=container.name,
                position=start,
                problem=problem or ("" if there and length else "no image in this row"),
            )
            row += 1


def _places(data: Any, content: Any, name: str) -> tuple[list[int], list[int]]:
    """Return where in the file the values of a binary array lie, and how long they are."""
    _, offsets, values = data.buffers()
    if values is None:
        return [0] * len(data), [0] * len(data)
    kind = np.int64 if str(data.type).startswith("large") else np.int32
    ends = np.frombuffer(offsets, dtype=kind)[data.offset : data.offset + len(data) + 1].astype(np.int64)
    first = values.address - content.address
    if not 0 <= first <= content.size - values.size:  # decompressed: no longer a place in the file
        msg = f"{name}: is compressed; load it and save_to_disk again, or to_parquet"
        raise BuildError(msg)
    return (first + ends[:-1]).tolist(), np.diff(ends).tolist()


def _containers(folder: Path) -> Containers:
    """Return the data files of every split."""
    found = []
    if (folder / _SPLITS).is_file():
        names = _read_json(folder / _SPLITS).get("splits")
        if not isinstance(names, list) or not names:
            msg = f"{folder / _SPLITS}: names no splits"
            raise BuildError(msg)
        for name in names:
            split = split_named(str(name))
            if split is None:
                msg = (
                    f"{folder}: the split {name!r} is none of {', '.join(SPLIT_NAMES)}; give {folder / str(name)} alone"
                )
                raise BuildError(msg)
            found += list(_data_files(folder, folder / name, split))
    else:
        split = split_named(str(_read_json(folder / _STATE).get("_split") or ""))
        found += list(_data_files(folder, folder, split or UNSPLIT))
    return Containers(source=folder, root=folder, found=tuple(found))


def _data_files(root: Path, folder: Path, split: str) -> Iterator[Container]:
    state = _read_json(folder / _STATE)
    if state.get("_indices_data_files"):
        msg = f"{folder}: its rows are reordered by indices; flatten_indices() and save_to_disk again"
        raise BuildError(msg)
    try:
        paths = [folder / entry["filename"] for entry in state["_data_files"]]
    except (KeyError, TypeError) as error:
        msg = f"{folder / _STATE}: does not name its data files"
        raise BuildError(msg) from error
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise BuildError(msg) from error
        name = path.relative_to(root).as_posix()
        yield Container(name=name, split=split, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read: {error.strerror if isinstance(error, OSError) else 'no JSON'}"
        raise BuildError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path}: expected a JSON object"
        raise BuildError(msg)
    return document

"""Lists the images that a table names: a CSV or TSV file with the columns ``path`` and ``label``, perhaps ``split``.

Source: RFC 4180 for the quoting. Opens none of the images. A listed file that does not exist is listed all the same,
with that as its problem.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from freqcache.errors import BuildError
from freqcache.remote import RemotePath, is_url
from freqcache.sources.assembly import Entry, Listing, assemble, split_named
from freqcache.sources.files import read_file
from freqcache.sources.remote_manifest import MixedReader, located
from freqcache.sources.remote_reading import RemoteReader
from freqcache.sources.repeats import Names, Repeat
from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT, SourceFile, SourceTree

DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
"""What separates the fields of a manifest, by the ending of its name."""

_COLUMNS: Final = ("path", "label", "split")


@dataclass(frozen=True, kw_only=True)
class ManifestReader:
    """Reads files by paths that may be absolute: see :class:`freqcache.sources.tree.SourceReader`."""

    root: Path

    def read(self, file: SourceFile, length: int = -1) -> bytes:
        """Return a file's bytes, or the first `length` of them."""
        return read_file(self.root / file.path, length)


def list_manifest(
    manifest: str | Path | RemotePath,
    storage_options: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
) -> SourceTree:
    """List the images that a manifest names, in its order.

    Parameters
    ----------
    manifest : path or RemotePath
        The table.
    storage_options : mapping, optional
        For fsspec, where a local manifest names URLs.
    scratch : Path, optional
        Folder for temporary files: see :class:`freqcache.scratch.Scratch`.

    Raises
    ------
    BuildError
        If the manifest cannot be read, is not UTF-8 or no table, lacks a column or has no rows, or where a row is
        short, empty, of an unknown split, or names a path for the second time. The message has the line.
    """
    manifest = Path(manifest) if isinstance(manifest, str) else manifest
    root, listing, n_far = manifest.parent, Listing(scratch), 0
    far = root if isinstance(root, RemotePath) else RemotePath("", dict(storage_options or {}))
    try:
        with io.BytesIO(manifest.read()) if isinstance(manifest, RemotePath) else manifest.open("rb") as file:
            for split, entry in located(far, _entries(manifest, file, scratch)):
                n_far += is_url(entry.path)
                listing.add(split, entry)
    except OSError as error:
        msg = f"{manifest}: cannot be read: {error.strerror or 'no such object'}"
        raise BuildError(msg) from error
    if not listing.splits:
        msg = f"{manifest}: no rows below its header"
        raise BuildError(msg)
    if isinstance(root, RemotePath):
        return assemble(manifest, RemoteReader(root=root), listing)
    reader = ManifestReader(root=root)
    if n_far:
        return assemble(manifest, MixedReader(local=reader, remote=RemoteReader(root=far)), listing)
    return assemble(manifest, reader, listing)


def _entries(manifest: Path | RemotePath, file: BinaryIO, scratch: Path | None) -> Iterator[tuple[str, Entry]]:
    """Yield the split and the entry of each row."""
    rows = _rows(manifest, file)
    columns = _columns(manifest, next(rows, (1, []))[1])
    names = Names(scratch)
    root = None if isinstance(manifest, RemotePath) else str(manifest.parent)
    for line, row in rows:
        where = f"{manifest}, line {line}"
        if len(row) != len(columns):
            msg = f"{where}: {len(row)} fields where the header has {len(columns)}"
            raise BuildError(msg)
        named = dict(zip(columns, row, strict=True))
        path, label = named["path"], named["label"].strip()
        if not path.strip() or not label:
            msg = f"{where}: no {'label' if path.strip() else 'path'}"
            raise BuildError(msg)
        if "\0" in path:
            msg = f"{where}: the path holds a zero byte"
            raise BuildError(msg)
        split = split_named(named["split"].strip()) if "split" in named else UNSPLIT
        if split is None:
            msg = f"{where}: unknown split {named['split']!r}; expected one of {', '.join(SPLIT_NAMES)}"
            raise BuildError(msg)
        first = names.add(os.path.normpath(path), line, path)
        if first is not None:
            raise _twice(manifest, Repeat(path, first, line))
        yield split, _entry(root, path, label)
    repeat = names.repeat()
    if repeat is not None:
        raise _twice(manifest, repeat)


def _twice(manifest: Path | RemotePath, repeat: Repeat) -> BuildError:
    path, first, second = repeat
    msg = f"{manifest}, line {second}: {path} is in line {first} already; an image has one label and one split"
    return BuildError(msg)


def _entry(root: str | None, path: str, label: str) -> Entry:
    """Return the entry of a row; `root` is the manifest's local folder."""
    if root is None or is_url(path):
        return Entry(path=path, name=label, size=0, mtime_ns=0)  # many are asked for at the same time, later
    try:
        status = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118  (a Path costs more than the call)
    except OSError as error:
        return Entry(path=path, name="", size=0, mtime_ns=0, problem=f"cannot be read: {error.strerror}")
    return Entry(path=path, name=label, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _columns(manifest: Path | RemotePath, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    missing = [name for name in ("path", "label") if name not in columns]
    if missing:
        found = ", ".join(columns) or "nothing"
        msg = f"{manifest}, line 1: no column {' and no column '.join(missing)} in its header; found {found}"
        raise BuildError(msg)
    twice = [name for name in _COLUMNS if columns.count(name) > 1]
    if twice:
        msg = f"{manifest}, line 1: more than one column {twice[0]}"
        raise BuildError(msg)
    return columns


def _rows(manifest: Path | RemotePath, file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the line that it begins in."""
    reader = csv.reader(_lines(manifest, file), delimiter=DELIMITERS[manifest.suffix.lower()], strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            msg = f"{manifest}, line {line}: {error}"
            raise BuildError(msg) from error
        if row:
            yield line, row


def _lines(manifest: Path | RemotePath, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            msg = f"{manifest}, line {number}: not UTF-8 ({error.reason} at its byte {error.start})"
            raise BuildError(msg) from error

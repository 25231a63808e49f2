"""Lists the images that a table names: a CSV or TSV file with the columns ``path`` and ``label``, perhaps ``split``.

Source: RFC 4180 for the quoting. Opens none of the images. A listed file that does not exist is listed all the same,
with that as its problem.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from freqcache.errors import BuildError
from freqcache.sources.assembly import Entry, Listing, assemble, split_named
from freqcache.sources.files import read_file
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


def list_manifest(manifest: str | Path, scratch: Path | None = None) -> SourceTree:
    """List the images that a manifest names, in its order.

    Raises
    ------
    BuildError
        If the manifest cannot be read, is not UTF-8 or no table, lacks a column or has no rows, or where a row is
        short, empty, of an unknown split, or names a path for the second time. The message has the line.
    """
    manifest = Path(manifest)
    try:
        with manifest.open("rb") as file:
            listing = _listed(manifest, file, scratch)
    except OSError as error:
        msg = f"{manifest}: cannot be read: {error.strerror}"
        raise BuildError(msg) from error
    if not listing.splits:
        msg = f"{manifest}: no rows below its header"
        raise BuildError(msg)
    return assemble(manifest, ManifestReader(root=manifest.parent), listing)


def _listed(manifest: Path, file: BinaryIO, scratch: Path | None) -> Listing:
    rows = _rows(manifest, file)
    columns = _columns(manifest, next(rows, (1, []))[1])
    names = Names(scratch)
    listing = Listing(scratch)
    root = str(manifest.parent)
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
        listing.add(split, _entry(root, path, label))
    repeat = names.repeat()
    if repeat is not None:
        raise _twice(manifest, repeat)
    return listing


def _twice(manifest: Path, repeat: Repeat) -> BuildError:
    path, first, second = repeat
    msg = f"{manifest}, line {second}: {path} is in line {first} already; an image has one label and one split"
    return BuildError(msg)


def _entry(root: str, path: str, label: str) -> Entry:
    try:
        status = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118  (a Path costs more than the call)
    except OSError as error:
        return Entry(path=path, name="", size=0, mtime_ns=0, problem=f"cannot be read: {error.strerror}")
    return Entry(path=path, name=label, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _columns(manifest: Path, header: Sequence[str]) -> list[str]:
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


def _rows(manifest: Path, file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
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


def _lines(manifest: Path, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            msg = f"{manifest}, line {number}: not UTF-8 ({error.reason} at its byte {error.start})"
            raise BuildError(msg) from error

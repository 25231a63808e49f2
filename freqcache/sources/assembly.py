"""Makes a source's tree from what was listed of it, for every kind of source but folders.

Here is what manifests, tars, Parquet files and iterables have in common: entries with the name of a class become files
with a label, and splits come in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.names import check_class_names
from freqcache.sources.table import FileTable
from freqcache.sources.tree import SPLIT_NAMES, SPLITS, SourceReader, SourceTree

_INTEGER: Final = re.compile(r"-?[0-9]+")


class Entry(NamedTuple):
    """One image of a source that is being listed; see :class:`SourceFile` for what is not said here.

    Attributes
    ----------
    name : str
        Of its class; empty where there is a problem.
    """

    path: str
    name: str
    size: int
    mtime_ns: int
    container: str = ""
    position: int = 0
    problem: str = ""


class Listing:
    """What was listed so far: a table of files for each split, and the names of their classes.

    Labels can only be told when all names are known; until then a file has the number of its class in the order in
    which classes came.

    Parameters
    ----------
    folder : Path, optional
        For temporary files: see :class:`freqcache.scratch.Scratch`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._tables: dict[str, FileTable] = {}
        self._numbers: dict[str, int] = {}

    @property
    def splits(self) -> Sequence[str]:
        """Splits that have an entry, in the order in which they came."""
        return tuple(self._tables)

    @property
    def names(self) -> Iterable[str]:
        """The different names of classes."""
        return self._numbers.keys()

    def add(self, split: str, entry: Entry) -> None:
        """Append an entry.

        Raises
        ------
        BuildError
            If a temporary file cannot be written.
        """
        number = -1 if entry.problem else self._numbers.setdefault(entry.name, len(self._numbers))
        if split not in self._tables:
            self._tables[split] = FileTable(self.folder)
        place = (entry.container, entry.position)
        self._tables[split].add(entry.path, number, entry.size, entry.mtime_ns, *place, entry.problem)

    def finish(self, classes: Sequence[str]) -> dict[str, FileTable]:
        """Return the files by split, in the order of splits, with labels that are places in `classes`."""
        labels = {name: label for label, name in enumerate(classes)}
        for table in self._tables.values():
            table.relabel([labels[name] for name in self._numbers])
        return {split: self._tables[split] for split in SPLITS if split in self._tables}


def assemble(
    root: Path | RemotePath,
    reader: SourceReader,
    listing: Listing,
    *,
    classes: Sequence[str] | None = None,
    ignored: int = 0,
    identity: str = "",
    sequential: bool = False,
) -> SourceTree:
    """Return the tree of what was listed.

    Parameters
    ----------
    root, reader, ignored, identity, sequential
        As in :class:`SourceTree`.
    listing : Listing
        What was listed.
    classes : sequence of str, optional
        The names by label, where the source says them. Otherwise they are those of the entries, in
        :func:`class_order`.

    Raises
    ------
    BuildError
        If there is no entry, or the name of a class cannot be stored.
    """
    if not listing.splits:
        msg = f"{root}: no images in it" + (f" ({ignored} files are none)" if ignored else "")
        raise BuildError(msg)
    if classes is None:
        classes = class_order(listing.names)
    check_class_names(classes, str(root))
    return SourceTree(
        root=root,
        reader=reader,
        classes=tuple(classes),
        splits=listing.finish(classes),
        ignored=ignored,
        identity=identity,
        sequential=sequential,
    )


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the different names in the order of their labels: by value if all are integers, else by code point."""
    different = sorted(set(names))
    if all(is_integer(name) for name in different):
        different.sort(key=int)
    return tuple(different)


def is_integer(name: str) -> bool:
    """Whether a class's name is a decimal number."""
    return _INTEGER.fullmatch(name) is not None


def split_named(word: str) -> str | None:
    """Return the split that a word means in manifests, in items and in names of files; None if it means none."""
    return SPLIT_NAMES.get(word.lower())

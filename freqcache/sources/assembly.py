"""Makes a source's tree from what was listed of it, for every kind of source but folders.

Here is what manifests, tars, Parquet files and iterables have in common: entries with the name of a class become files
with a label, and splits come in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from freqcache.errors import BuildError
from freqcache.sources.names import check_class_names
from freqcache.sources.tree import SPLIT_NAMES, SPLITS, SourceFile, SourceReader, SourceTree

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


def assemble(
    root: Path,
    reader: SourceReader,
    entries: Mapping[str, Sequence[Entry]],
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
    entries : dict of str to sequence of Entry
        Of each split, in order.
    classes : sequence of str, optional
        The names by label, where the source says them. Otherwise they are those of the entries, in
        :func:`class_order`.

    Raises
    ------
    BuildError
        If there is no entry, or the name of a class cannot be stored.
    """
    if not any(entries.values()):
        msg = f"{root}: no images in it" + (f" ({ignored} files are none)" if ignored else "")
        raise BuildError(msg)
    if classes is None:
        classes = class_order(entry.name for listed in entries.values() for entry in listed if not entry.problem)
    check_class_names(classes, str(root))
    labels = {name: label for label, name in enumerate(classes)}
    return SourceTree(
        root=root,
        reader=reader,
        classes=tuple(classes),
        splits={s: tuple(_file(entry, labels) for entry in entries[s]) for s in SPLITS if entries.get(s)},
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


def _file(entry: Entry, labels: Mapping[str, int]) -> SourceFile:
    return SourceFile(
        path=entry.path,
        label=-1 if entry.problem else labels[entry.name],
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        container=entry.container,
        position=entry.position,
        problem=entry.problem,
    )

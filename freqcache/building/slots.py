"""The planned samples of a split as a table, in the order of the store: made into :class:`Slot` as they are asked for.

A table takes about 150 bytes a slot, in memory while that is little and in a temporary file after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.scratch import CHUNK_ROWS, KEY, Chunk, MadeSequence, RowTable, keys_of, sorted_rows
from freqcache.sources import SourceFile
from freqcache.sources.table import FILE_FIELDS, encoded, files_of, paths_of

SLOT_ROW: Final = np.dtype(
    [
        ("start", "<i8"),
        ("length", "<i4"),
        KEY,
        *FILE_FIELDS,
        ("blocks", "<i4", (3,)),
        ("components", "u1"),
        ("of", "u1"),
        ("store", "<i4"),
        ("slot", "<i8"),
    ]
)
"""A row; its text is the path, and in a build the container's name. `of` says what the slot is made of."""

_NOTHING, _FILE, _STORED = range(3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One planned sample.

    Attributes
    ----------
    path : str
        Of its source file, relative to the source.
    label : int
        Its class.
    blocks : tuple of int
        Blocks of each component that the sample will have (one or three).
    file : SourceFile or None
        What it is made of, in a build.
    stored : (int, int) or None
        Where a sample lies that is rewritten: number of its store among the inputs, and its slot there.
    """

    path: str
    label: int
    blocks: tuple[int, ...]
    file: SourceFile | None = None
    stored: tuple[int, int] | None = None


class SlotTable(MadeSequence[Slot]):
    """Slots in the order of a store.

    Parameters
    ----------
    table : RowTable
        Of :data:`SLOT_ROW`.
    """

    def __init__(self, table: RowTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows and their text, in order."""
        return self._table.chunks()

    def __iter__(self) -> Iterator[Slot]:
        for chunk in self.chunks():
            yield from _slots(chunk)

    def _made(self, first: int, last: int) -> Iterator[Slot]:
        return _slots(self._table.read(first, last))


def ordered(chunks: Iterable[Chunk], most: int, seed: int | None, folder: Path | None = None) -> SlotTable:
    """Return a table of slots, shuffled by `seed`, or in their order if that is None.

    Parameters
    ----------
    chunks : iterable of Chunk
        Of :data:`SLOT_ROW`.
    most : int
        As many slots, or more than there are.
    seed : int or None
        Of the shuffle.
    folder : Path, optional
        For temporary files: see :class:`freqcache.scratch.Scratch`.

    Raises
    ------
    BuildError
        If a temporary file cannot be written.
    """
    if seed is not None:
        return SlotTable(sorted_rows((_keyed(chunk, seed) for chunk in chunks), most, SLOT_ROW, folder))
    table = RowTable(SLOT_ROW, folder)
    for chunk in chunks:
        table.append(chunk)
    return SlotTable(table)


def shuffle_key(path: str | bytes, seed: int) -> bytes:
    """Sorting by a keyed hash shuffles the same way on every platform and in every release of numpy."""
    path = encoded(path) if isinstance(path, str) else path
    return hashlib.blake2b(path, salt=seed.to_bytes(16, "little")).digest()


def planned_files(
    files: Chunk, blocks: npt.NDArray[np.int32], components: npt.NDArray[np.uint8], usable: npt.NDArray[np.intp]
) -> Chunk:
    """Return the slots of some files of a listing.

    Parameters
    ----------
    files : Chunk
        Of n files.
    blocks : (n, 3) int32
        Of each component that each sample will have.
    components : (n,) uint8
        How many those are.
    usable : (k,) intp
        Which files get a slot; these have no problem.
    """
    rows = np.zeros(len(files.rows), dtype=SLOT_ROW)
    for name in ("length", *(name for name, _ in FILE_FIELDS)):
        rows[name] = files.rows[name]
    rows["blocks"], rows["components"], rows["of"] = blocks, components, _FILE
    return Chunk(rows, files.text).taken(usable)


def chunks_of(slots: Sequence[Slot]) -> Iterator[Chunk]:
    """Yield slots as rows and text.

    Raises
    ------
    ValueError
        For a slot that is to be made of a file: :func:`planned_files` makes those.
    """
    for first in range(0, len(slots), CHUNK_ROWS):
        some = slots[first : first + CHUNK_ROWS]
        if any(slot.file is not None for slot in some):
            msg = "slots of files come from a listing"
            raise ValueError(msg)
        paths = [encoded(slot.path) for slot in some]
        rows = np.zeros(len(some), dtype=SLOT_ROW)
        rows["length"] = rows["path"] = [len(path) for path in paths]
        rows["label"] = [slot.label for slot in some]
        rows["components"] = [len(slot.blocks) for slot in some]
        rows["blocks"] = [(*slot.blocks, 0, 0, 0)[:3] for slot in some]
        rows["of"] = [_NOTHING if slot.stored is None else _STORED for slot in some]
        rows["store"], rows["slot"] = np.array([slot.stored or (0, 0) for slot in some], dtype=np.int64).T
        yield Chunk(rows, b"".join(paths))


def _keyed(chunk: Chunk, seed: int) -> Chunk:
    rows = chunk.rows.copy()
    rows["key"] = keys_of([shuffle_key(path, seed) for path in paths_of(chunk)])
    return Chunk(rows, chunk.text)


def _slots(chunk: Chunk) -> Iterator[Slot]:
    """Yield the slots of some rows."""
    rows = chunk.rows
    numbers = (rows[name].tolist() for name in ("blocks", "components", "of", "store", "slot"))
    for file, blocks, components, of, store, slot in zip(files_of(chunk), *numbers, strict=True):
        yield Slot(
            path=file.path,
            label=file.label,
            blocks=tuple(blocks[:components]),
            file=file if of == _FILE else None,
            stored=(store, slot) if of == _STORED else None,
        )

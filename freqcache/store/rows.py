"""The per-sample arrays of a split, row by row: a chunk is fetched when a row of it is first asked for.

What is fetched is kept packed (:mod:`freqcache.store.packing`), up to a number of bytes, and what was used longest ago
goes first. There are no locks, which a fork could leave taken: at worst two threads fetch the same chunk. Whole arrays
are :mod:`freqcache.store.arrays`'s.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.portions import portions
from freqcache.store.arrays import SmallArray
from freqcache.store.packing import Packed, pack
from freqcache.store.places import Place

ROWS_BYTES: Final = 1 << 29
"""What the rows of a split may take in memory: all of them, at 10 million samples and some thousand tables."""

_DECODED_BYTES: Final = 1 << 28
_FETCHED: Final = 64
"""Of the chunks that are fetched at the same time: bytes when decoded, and how many."""

Rows = npt.NDArray[np.intp]
_Key = tuple[str, int]


class RowCache:
    """Rows of some arrays of a split; picklable, without what was fetched.

    Parameters
    ----------
    place : Place
        Folder of the split.
    form : callable
        Takes the name of an array and the place to read from, returns its form.
    confirm : callable, optional
        Raises if what lies at the place is another store's by now. Called after chunks were fetched and before they
        are used.
    limit : int
        Bytes of packed chunks to keep.
    """

    def __init__(
        self,
        place: Place,
        form: Callable[[str, Place], SmallArray],
        confirm: Callable[[], None] | None,
        limit: int = ROWS_BYTES,
    ) -> None:
        self._place, self._form, self._confirm, self._limit = place, form, confirm, limit
        self._arrays: dict[str, SmallArray] = {}
        self._chunks: OrderedDict[_Key, Packed] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_chunks": OrderedDict()}

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(chunk.nbytes for chunk in list(self._chunks.values()))

    def length(self, name: str) -> int:
        """Return the length of an array."""
        return self._array(name).shape[0]

    def open(self, names: Iterable[str], place: Place) -> None:
        """Learn the form of some arrays from `place`, the folder of the split, and read those of a single chunk."""
        for name in names:
            array = self._arrays.get(name)
            if array is None:
                array = self._arrays[name] = self._form(name, place)
            if array.n_chunks == 1 and (name, 0) not in self._chunks:
                self._keep((name, 0), pack(array.rows(0, place.read(f"{name}/{array.chunk_key(0)}"))))

    def take(self, names: Sequence[str], rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return rows of some arrays.

        Parameters
        ----------
        names : sequence of str
            The arrays.
        rows : (n,) intp
            Inside all of them, in any order.

        Returns
        -------
        dict of str to (n, ...) array
            New memory.

        Raises
        ------
        StoreError
            If a chunk is missing or damaged, or of another store.
        """
        arrays = {name: self._array(name) for name in names}
        pieces = {length: _pieces(rows, length) for length in {array.chunk[0] for array in arrays.values()}}
        if all(len(some) == 1 for some in pieces.values()):  # no piece to put together
            keys = [(name, pieces[array.chunk[0]][0][0]) for name, array in arrays.items()]
            return {key[0]: chunk.take(pieces[arrays[key[0]].chunk[0]][0][2]) for key, chunk in self._get(keys)}
        found = {name: np.empty((len(rows), *a.shape[1:]), dtype=a.dtype) for name, a in arrays.items()}
        wanted = {
            (name, number): (here, inside)
            for name, array in arrays.items()
            for number, here, inside in pieces[array.chunk[0]]
        }
        for key, chunk in self._get(wanted):
            here, inside = wanted[key]
            found[key[0]][here] = chunk.take(inside)
        return found

    def _array(self, name: str) -> SmallArray:
        array = self._arrays.get(name)
        if array is None:
            array = self._arrays[name] = self._form(name, self._place)
        return array

    def _get(self, keys: Iterable[_Key]) -> Iterator[tuple[_Key, Packed]]:
        """Yield chunks: those at hand, then those that are fetched, a few at a time."""
        missing = []
        for key in keys:
            chunk = self._chunks.get(key)
            if chunk is None:
                missing.append(key)
                continue
            if len(self._chunks) > 1:
                with suppress(KeyError):  # another thread has just dropped it
                    self._chunks.move_to_end(key)
            yield key, chunk
        for some in portions(missing, self._bytes_of, _DECODED_BYTES, _FETCHED):
            yield from self._fetch(some)

    def _bytes_of(self, key: _Key) -> int:
        """Return the bytes of a chunk when it is decoded."""
        array = self._arrays[key[0]]
        return int(np.prod(array.chunk, dtype=np.float64)) * np.dtype(array.dtype).itemsize

    def _fetch(self, keys: list[_Key]) -> list[tuple[_Key, Packed]]:
        paths = {key: f"{key[0]}/{self._arrays[key[0]].chunk_key(key[1])}" for key in keys}
        place = self._place.read_ahead(list(paths.values()))
        found = [(key, pack(self._arrays[key[0]].rows(key[1], place.read(paths[key])))) for key in keys]
        if self._confirm is not None:
            self._confirm()
        for key, chunk in found:
            self._keep(key, chunk)
        return found

    def _keep(self, key: _Key, chunk: Packed) -> None:
        self._chunks[key] = chunk
        excess = self.nbytes - self._limit
        for oldest in list(self._chunks)[:-1]:
            if excess <= 0:
                break
            dropped = self._chunks.pop(oldest, None)
            excess -= 0 if dropped is None else dropped.nbytes


def _pieces(rows: Rows, length: int) -> list[tuple[int, Any, Rows]]:
    """Return for each chunk that rows lie in its number, where those rows stand, and their places in it."""
    if len(rows) == 0:
        return []
    numbers = rows // length
    first = int(numbers[0])
    if (numbers == first).all():
        return [(first, slice(None), rows - first * length if first else rows)]
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    parts = np.split(order, cuts)
    return [(number, here, rows[here] - number * length) for here in parts for number in [int(numbers[here[0]])]]

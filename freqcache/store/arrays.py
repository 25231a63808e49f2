"""Reads the small per-sample arrays of a split, checking all that is relied on.

Zarr readers fill a missing chunk with zeros; a label must not come about that way. These arrays have one regular
chunk grid along their first axis, codecs ``bytes``, ``zstd`` and ``crc32c`` (``formats/v1/spec.md``, section 8), and
are read here without zarr. Coefficients are :mod:`freqcache.store.columns`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.places import Place

_AHEAD: Final = 32
"""Chunks of an array that are fetched at the same time where it is read whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallArray:
    """An array that is small beside the coefficients: its form, and its chunks one by one.

    Attributes
    ----------
    place : Place
        Its folder.
    dtype : str
        Of the elements.
    shape, chunk : tuple of int
        Of the array and of each of its chunks, which are cut along the first axis only.
    codec : ChunkCodec
        Of the chunks.
    """

    place: Place
    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    codec: ChunkCodec

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.shape[0] // self.chunk[0])

    def chunk_key(self, number: int) -> str:
        """Return the path of a chunk inside the array."""
        return chunk_key(number, len(self.shape))

    def chunk_keys(self) -> list[str]:
        """Return the path of each chunk inside the array."""
        return [self.chunk_key(number) for number in range(self.n_chunks)]

    def decode(self, key: str, stored: bytes, values: npt.NDArray[Any]) -> None:
        """Decode a chunk into the part of the whole array `values` that it is of.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        number = int(key.split("/")[1])
        start = number * self.chunk[0]
        values[start : start + self.chunk[0]] = self.rows(number, stored)

    def rows(self, number: int, stored: bytes) -> npt.NDArray[Any]:
        """Return the rows of a chunk, of its stored bytes: no more than the array has.

        Raises
        ------
        StoreError
            If it is damaged.
        """
        key = self.chunk_key(number)
        try:
            part = np.empty(self.chunk, dtype=self.dtype)
            self.codec.decode_into(stored, part)
        except StoreError as error:
            msg = f"{self.place}/{key}: {error}"
            raise StoreError(msg) from error
        except (MemoryError, ValueError) as error:
            msg = f"{self.place}/{key}: no memory for {self.dtype} in chunks of {self.chunk}"
            raise StoreError(msg) from error
        return part[: self.shape[0] - number * self.chunk[0]]


def chunk_key(number: int, dimensions: int) -> str:
    """Return the path of a chunk inside an array of so many dimensions, which is cut along the first."""
    return "/".join(["c", str(number), *["0"] * (dimensions - 1)])


def read_array(place: Place, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a whole array: parameters and errors of :func:`open_array`.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged, too.
    """
    array = open_array(place, dtype, shape)
    values = empty(array)
    done = 0
    for part in read_parts(array):
        values[done : done + len(part)] = part
        done += len(part)
    return values


def read_parts(array: SmallArray) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of an array, chunk after chunk.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.
    """
    for first in range(0, array.n_chunks, _AHEAD):
        numbers = range(first, min(first + _AHEAD, array.n_chunks))
        keys = [array.chunk_key(number) for number in numbers]
        place = array.place.read_ahead(keys)
        for number, key in zip(numbers, keys, strict=True):
            yield array.rows(number, place.read(key))


def empty(array: SmallArray) -> npt.NDArray[Any]:
    """Return memory for a whole array and make sure that there is some for a chunk.

    Raises
    ------
    StoreError
        If there is not.
    """
    try:
        values, _ = np.empty(array.shape, dtype=array.dtype), np.empty(array.chunk, dtype=array.dtype)
    except (MemoryError, ValueError) as error:
        msg = f"{array.place}: no memory for {array.dtype} of shape {array.shape} in chunks of {array.chunk}"
        raise StoreError(msg) from error
    return values


def open_array(place: Place, dtype: str, shape: tuple[int, ...]) -> SmallArray:
    """Return the form of an array.

    Parameters
    ----------
    place : Place
        Folder of the array.
    dtype : str
        The dtype that it must have.
    shape : tuple of int
        The shape that it must have; -1 for any length.

    Raises
    ------
    StoreError
        If its metadata are not as expected.
    """
    try:
        document = json.loads(place.read("zarr.json"))
        found = tuple(document["shape"])
        chunk = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        codec = ChunkCodec.from_zarr(document["codecs"])
        kind = document["data_type"]
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, OverflowError, StoreError) as error:
        msg = f"{place}: no readable array metadata: {error}"
        raise StoreError(msg) from error
    fits = len(found) == len(shape) and all(b in (-1, a) for a, b in zip(found, shape, strict=False))
    if kind != dtype or not fits or not all(type(n) is int and n >= 0 for n in found):
        wanted = tuple("any" if n == -1 else n for n in shape)
        msg = f"{place}: expected {dtype} of shape {wanted}, found {kind} of shape {found}"
        raise StoreError(msg)
    if len(chunk) != len(found) or type(chunk[0]) is not int or chunk[0] < 1 or chunk[1:] != found[1:]:
        msg = f"{place}: expected chunks along the first axis only, found {chunk} of {found}"
        raise StoreError(msg)
    return SmallArray(place=place, dtype=dtype, shape=found, chunk=chunk, codec=codec)

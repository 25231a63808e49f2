"""Reads the small per-sample arrays of a split, checking all that is relied on.

Zarr readers fill a missing chunk with zeros; a label must not come about that way. These arrays have one regular
chunk grid along their first axis, codecs ``bytes``, ``zstd`` and ``crc32c`` (``formats/v1/spec.md``, section 8), and
are read here without zarr. Coefficients are :mod:`freqcache.store.columns`'s.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.places import Place


def read_array(place: Place, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a whole array.

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
        If its metadata are not as expected, or a chunk is missing or damaged.
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
    try:
        values, part = np.empty(found, dtype=dtype), np.empty(chunk, dtype=dtype)
    except (MemoryError, ValueError) as error:
        msg = f"{place}: no memory for {dtype} of shape {found} in chunks of {chunk}"
        raise StoreError(msg) from error
    for number, start in enumerate(range(0, found[0], chunk[0])):
        key = "/".join(map(str, ("c", number, *([0] * (len(found) - 1)))))
        stored = place.read(key)
        try:
            codec.decode_into(stored, part)
        except StoreError as error:
            msg = f"{place}/{key}: {error}"
            raise StoreError(msg) from error
        values[start : start + chunk[0]] = part[: found[0] - start]
    return values

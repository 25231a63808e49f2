"""Reads the small per-sample arrays of a split, checking all that is relied on.

Zarr readers fill a missing chunk with zeros; a label must not come about that way. These arrays have one regular
chunk grid along their first axis, codecs ``bytes``, ``zstd`` and ``crc32c`` (``formats/v1/spec.md``, section 8), and
are read here without zarr. Coefficients are :mod:`freqcache.store.columns`'s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec


def read_array(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a whole array.

    Parameters
    ----------
    path : Path
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
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        found = tuple(document["shape"])
        chunk = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        codec = ChunkCodec.from_zarr(document["codecs"])
        kind = document["data_type"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError, StoreError) as error:
        msg = f"{path}: no readable array metadata: {error}"
        raise StoreError(msg) from error
    fits = len(found) == len(shape) and all(b in (-1, a) for a, b in zip(found, shape, strict=False))
    if kind != dtype or not fits or not all(type(n) is int and n >= 0 for n in found):
        wanted = tuple("any" if n == -1 else n for n in shape)
        msg = f"{path}: expected {dtype} of shape {wanted}, found {kind} of shape {found}"
        raise StoreError(msg)
    if len(chunk) != len(found) or type(chunk[0]) is not int or chunk[0] < 1 or chunk[1:] != found[1:]:
        msg = f"{path}: expected chunks along the first axis only, found {chunk} of {found}"
        raise StoreError(msg)
    values = np.empty(found, dtype=dtype)
    part = np.empty(chunk, dtype=dtype)
    for number, start in enumerate(range(0, found[0], chunk[0])):
        key = path / "c" / "/".join(map(str, (number, *([0] * (len(found) - 1)))))
        try:
            codec.decode_into(key.read_bytes(), part)
        except OSError as error:
            msg = f"{key}: chunk cannot be read: {error.strerror}"
            raise StoreError(msg) from error
        except StoreError as error:
            msg = f"{key}: {error}"
            raise StoreError(msg) from error
        values[start : start + chunk[0]] = part[: found[0] - start]
    return values

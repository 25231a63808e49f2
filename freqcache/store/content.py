"""The id of a store: a digest of what it holds, so that equal content has an equal id.

Coefficients count by the digests of their shard files, which cover every chunk's checksum; metadata do not count (a
store has a digest of their own: :mod:`freqcache_formats.canonical`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import DIGEST_BYTES, SPLIT_ARRAYS, per_slot_arrays


class SplitDigest:
    """The digest of a split's content, of arrays that come block by block.

    What it is fed are the arrays of :func:`digested_arrays`, each whole, in their order.
    """

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def through(self, blocks: Iterable[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
        """Yield the blocks of an array, cut along its first axis, and take them into the digest on the way."""
        for block in blocks:
            self._digest.update(np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<")).tobytes())
            yield block

    def digest(self) -> bytes:
        """Return the digest (16 bytes)."""
        return self._digest.digest()


def digested_arrays(kind: str) -> tuple[str, ...]:
    """Return the names of the arrays that make the digest of a split, in order, for a kind of store."""
    return (*per_slot_arrays(kind), *SPLIT_ARRAYS)


def split_digest(kind: str, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the digest of a split's content (16 bytes).

    Parameters
    ----------
    kind : str
        Of the store.
    arrays : dict of str to array
        Every array of the split but the coefficients and, in a fixed store, ``quantization``.
    """
    digest = SplitDigest()
    for name in digested_arrays(kind):
        for _ in digest.through([arrays[name]]):
            pass
    return digest.digest()


def store_id(kind: str, classes: Sequence[str], channels: Sequence[int], splits: Mapping[str, bytes]) -> str:
    """Return the id of a store, 32 hexadecimal digits.

    Parameters
    ----------
    kind : str
        ``"native"`` or ``"fixed"``.
    classes : sequence of str
        Names by label.
    channels : sequence of int
        Storage indices of the channels that it holds; all 192 do not count, for they are what version 1.0 has.
    splits : dict of str to bytes
        Each split's digest, from :func:`split_digest`.
    """
    content = hashlib.blake2b(digest_size=DIGEST_BYTES)
    content.update(json.dumps([kind, *classes]).encode())
    if len(channels) < N_CHANNELS:
        content.update(json.dumps(list(channels)).encode())
    for name, digest in splits.items():
        content.update(name.encode() + digest)
    return content.hexdigest()

"""The id of a store: a digest of what it holds, so that equal content has an equal id.

Coefficients count by the digests of their shard files, which cover every chunk's checksum; metadata do not count (a
store has a digest of their own: :mod:`freqcache_formats.canonical`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import DIGEST_BYTES, SPLIT_ARRAYS, per_slot_arrays


def split_digest(kind: str, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the digest of a split's content (16 bytes).

    Parameters
    ----------
    kind : str
        Of the store.
    arrays : dict of str to array
        Every array of the split but the coefficients and, in a fixed store, ``quantization``.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in (*per_slot_arrays(kind), *SPLIT_ARRAYS):
        values = arrays[name]
        digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes())
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

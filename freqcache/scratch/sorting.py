"""Sorts more rows than memory holds, by keys that are hashes.

Hashes are spread evenly, so that their leading bits part the rows into buckets of like size: rows are distributed to
those in one pass, and each bucket is sorted in memory and appended to the result. Held are one bucket, and what each
has not yet written: a few ten megabytes for ten million rows. On disk the rows stand once more while it lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.scratch.rows import Chunk, RowTable, regrouped

KEY: Final = ("key", "<u8", (2,))
"""The field that rows are sorted by: a hash's first 16 bytes as two numbers, the more significant one first."""

NUMBERED: Final = np.dtype([("start", "<i8"), ("length", "<i4"), KEY, ("number", "<i8")])
"""Rows that have a key, and a number by which they are known elsewhere."""

_BUCKET_ROWS: Final = 1 << 17
"""Rows that a bucket should have at most."""

_MOST_BUCKETS: Final = 64
"""Each has two files."""

_PARTED_ROWS: Final = 1 << 15
"""Rows that are distributed at a time."""

_HELD: Final = 256 << 10
"""Bytes of a bucket that are not written yet."""


def keys_of(digests: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Return the keys of digests of at least 16 bytes, (n, 2): in the order of the digests' bytes."""
    whole = np.frombuffer(b"".join([digest[:16] for digest in digests]), dtype=">u8")
    return whole.astype("<u8").reshape(-1, 2)


def sorted_rows(chunks: Iterable[Chunk], most: int, dtype: np.dtype[Any], folder: Path | None = None) -> RowTable:
    """Return a table of all rows by their keys; rows of equal keys stay in their order.

    Parameters
    ----------
    chunks : iterable of Chunk
        The rows.
    most : int
        As many rows, or more than there are.
    dtype : numpy dtype
        Of the rows, with the field :data:`KEY`.
    folder : Path, optional
        For temporary files.

    Raises
    ------
    BuildError
        If a temporary file cannot be written.
    """
    bits = min((max(1, most - 1) // _BUCKET_ROWS).bit_length(), _MOST_BUCKETS.bit_length() - 1)
    buckets = [RowTable(dtype, folder, held=_HELD) for _ in range(1 << bits)]
    for chunk in regrouped(chunks, _PARTED_ROWS):
        if not bits:
            buckets[0].append(chunk)
            continue
        numbers = (chunk.rows["key"][:, 0] >> np.uint64(64 - bits)).astype(np.intp)
        parted = chunk.taken(np.argsort(numbers, kind="stable"))
        ends = np.cumsum(np.bincount(numbers, minlength=len(buckets))).tolist()
        _, text_ends = parted.bounds()
        first = text_first = 0
        for bucket, last in zip(buckets, ends, strict=True):
            if last > first:
                text_last = int(text_ends[last - 1])
                bucket.append(Chunk(parted.rows[first:last], parted.text[text_first:text_last]))
                first, text_first = last, text_last
    result = RowTable(dtype, folder)
    for bucket in buckets:
        whole = bucket.read(0, len(bucket))
        bucket.close()
        if len(whole.rows):
            key = whole.rows["key"]
            result.append(whole.taken(np.lexsort((key[:, 1], key[:, 0]))))
    return result

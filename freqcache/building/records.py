"""The record of a finished shard: a file in the journal that marks it done and holds what the end of a build gathers.

It is an ``.npz`` archive behind its own digest, so that a damaged one is no record.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.building.options import LedgerEntry
from freqcache.store.targets import Target
from freqcache_formats.layout import DIGEST_BYTES

SHARD_FILES: Final = ("shard_digest", "shard_bytes")
"""Arrays of a split that describe its shard files."""


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What a finished shard leaves for the end of the build.

    Attributes
    ----------
    samples : dict of str to array
        Per-slot values of every per-sample array.
    statistics : (9, channels) float64
        Of :class:`freqcache.statistics.Accumulator`.
    files : dict of str to (arrays, ...) array
        What the split's arrays ``shard_digest`` and ``shard_bytes`` say of this shard's files, in the order of the
        coefficient arrays.
    failures : tuple of LedgerEntry
        Files that failed, or were kept damaged.
    saturated : int
        Values that an int8 cache had to clip.
    layout : str
        Digest of the layout that the shard belongs to.
    """

    samples: dict[str, npt.NDArray[Any]]
    statistics: npt.NDArray[np.float64]
    files: dict[str, npt.NDArray[Any]]
    failures: tuple[LedgerEntry, ...]
    saturated: int
    layout: str = ""

    def write(self, store: Target, key: str) -> None:
        """Write the record, which lasts: its presence means that the shard is done."""
        words = {
            "failures": [entry.to_dict() for entry in self.failures],
            "saturated": self.saturated,
            "layout": self.layout,
        }
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"sample_{name}": values for name, values in self.samples.items()} | self.files
        arrays["words"] = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
        np.savez(buffer, statistics=self.statistics, **arrays)
        archive = buffer.getvalue()
        store.write(key, _digest(archive) + archive)

    @classmethod
    def read(cls, store: Target, key: str) -> ShardRecord:
        """Read a record that :meth:`write` made.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is damaged.
        """
        data = store.read(key)
        digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if _digest(content) != digest:
            msg = f"{store}/{key}: a damaged record"
            raise ValueError(msg)
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            words = json.loads(archive["words"].tobytes())
            samples = {
                name.removeprefix("sample_"): archive[name] for name in archive.files if name.startswith("sample_")
            }
            return cls(
                samples=samples,
                statistics=archive["statistics"],
                files={name: archive[name] for name in SHARD_FILES},
                failures=tuple(LedgerEntry(**entry) for entry in words["failures"]),
                saturated=words["saturated"],
                layout=words.get("layout", ""),
            )


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()

"""One shard file, byte by byte: its index, where its chunks lie, and what it is known by.

A damaged index does not raise: it is a finding, and so is every other thing that is wrong. Decoding chunks is
:mod:`freqcache.verification.coefficients`'s. Source: ``formats/v1/spec.md``, section 8.
"""

from __future__ import annotations

import hashlib
from typing import Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import CRC_BYTES
from freqcache.store.columns import ArrayGeometry
from freqcache.store.decoding import Octets
from freqcache.store.places import Place, RangeFile
from freqcache.store.shards import ShardIdentity, read_pieces
from freqcache.verification.findings import Findings
from freqcache_formats.layout import DIGEST_BYTES

_MISSING: Final = 2**64 - 1
_NAMED: Final = 8
"""Channels that a message names."""


class CheckedShard:
    """A shard whose index is sound.

    Parameters
    ----------
    findings : Findings
        Gets what is wrong.
    key : str
        Of the file in the store.
    file : RangeFile
        The file, opened.
    geometry : ArrayGeometry
        Of its array.
    groups : int
        Row groups that lie in it.
    tail : bytes
        Its digest, its index, and the index's checksum.
    """

    def __init__(
        self, findings: Findings, key: str, file: RangeFile, geometry: ArrayGeometry, groups: int, tail: bytes
    ) -> None:
        self._findings, self._key, self._file, self._geometry = findings, key, file, geometry
        self._digest, self._index = tail[:DIGEST_BYTES], tail[DIGEST_BYTES:-CRC_BYTES]
        places = np.frombuffer(self._index, dtype="<u8").reshape(-1, 2)
        end = file.size - len(tail)
        inside = (places <= end).all(axis=1) & (places.sum(axis=1) <= end) & (places[:, 1] >= CRC_BYTES)
        self.sound = inside
        self._checksums = np.zeros(len(places), dtype="<u4")
        self._places = np.where(inside[:, None], places, 0).astype(np.int64)
        expected = np.zeros(len(places), dtype=bool)
        for group in range(groups):
            expected[geometry.inner_index(group, np.arange(geometry.n_channels))] = True
        missing = (places == _MISSING).all(axis=1)
        self._report(expected & missing, "chunk-missing", "missing")
        self._report(~missing & ~inside, "chunk-outside", "not inside the file, before its index")
        if (~expected & ~missing).any():
            findings.add("index", key, "lists chunks of row groups that there are not")
        self._check_cover(end)

    def read(self, group: int) -> tuple[npt.NDArray[np.intp], Octets, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Read a row group's chunks: channels that are there, stored bytes, and first byte and length of each.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        numbers = self._geometry.inner_index(group, np.arange(self._geometry.n_channels))
        channels = np.flatnonzero(self.sound[numbers])
        numbers = numbers[channels]
        if not len(numbers):
            none = np.zeros(0, dtype=np.int64)
            return channels, np.zeros(0, dtype=np.uint8), none, none
        stored, starts, lengths = read_pieces(self._file, self._places[numbers])
        ends = (starts + lengths)[:, None] - CRC_BYTES + np.arange(CRC_BYTES)
        self._checksums[numbers] = stored[ends].view("<u4")[:, 0]
        return channels, stored, starts, lengths

    def finish(self, identity: ShardIdentity | None) -> None:
        """Compare the digest, once every row group has been read, with the file's own and the split's record of it."""
        digest = hashlib.blake2b(self._index + self._checksums.tobytes(), digest_size=DIGEST_BYTES).digest()
        if digest != self._digest:
            self._findings.add("shard_digest", self._key, "the digest inside the file is not its own")
        elif identity is not None and digest != identity.digest:
            self._findings.add("shard_digest", self._key, "not the shard that was written here: another digest")

    def _report(self, bad: npt.NDArray[np.bool_], kind: str, reason: str) -> None:
        """Note chunks that cannot be read, a finding a row group; which samples that harms, their reader tells."""
        for group in range(self._geometry.groups_per_shard):
            numbers = self._geometry.inner_index(group, np.arange(self._geometry.n_channels))
            channels = np.flatnonzero(bad[numbers])
            if len(channels):
                self._findings.add(kind, self._key, f"{chunk_words(channels, group)} of the file: {reason}")

    def _check_cover(self, end: int) -> None:
        """Check that no two chunks share a byte; note bytes that belong to nothing."""
        places = self._places[self.sound]
        places = places[np.argsort(places[:, 0], kind="stable")]
        firsts, lasts = places[:, 0], np.maximum.accumulate(places.sum(axis=1)) if len(places) else places[:, 0]
        if (firsts[1:] < lasts[:-1]).any():
            self._findings.add("index", self._key, "chunks that share bytes")
            return
        free = end - int(places[:, 1].sum())
        if free:
            self._findings.notes.append(f"{self._key}: {free} bytes belong to no chunk and mean nothing")


def open_shard(
    findings: Findings,
    place: Place,
    array: str,
    geometry: ArrayGeometry,
    number: int,
    identity: ShardIdentity | None,
) -> CheckedShard | None:
    """Open a shard and check its index.

    Parameters
    ----------
    findings : Findings
        Gets what is wrong.
    place : Place
        The store.
    array : str
        Path of the array in the store.
    geometry : ArrayGeometry
        Of the array.
    number : int
        Of the shard.
    identity : ShardIdentity or None
        What the split records of it; None where that cannot be read.

    Returns
    -------
    CheckedShard or None
        None where nothing in it can be found.
    """
    key = f"{array}/{geometry.shard_key(number)}"
    try:
        file = place.open(key)
        findings.counts.files += 1
        findings.counts.bytes += file.size
        if identity is not None and file.size != identity.size:
            findings.add("shard_bytes", key, f"has {file.size} bytes, the split records {identity.size}")
        length = DIGEST_BYTES + geometry.chunks_per_shard * 16 + CRC_BYTES
        if file.size < length:
            findings.add("index-checksum", key, f"has {file.size} bytes, too few for its index")
            return None
        tail = bytearray(length)
        file.read_into(file.size - length, memoryview(tail))
    except StoreError as error:
        findings.add("shard-missing", key, str(error).removeprefix(f"{place}/{key}: "))
        return None
    index = bytes(tail[DIGEST_BYTES:-CRC_BYTES])
    if google_crc32c.value(index) != int.from_bytes(tail[-CRC_BYTES:], "little"):
        findings.add("index-checksum", key, "its index fails its checksum")
        return None
    groups = min(geometry.groups_per_shard, geometry.n_groups - number * geometry.groups_per_shard)
    return CheckedShard(findings, key, file, geometry, groups, bytes(tail))


def chunk_words(channels: npt.NDArray[np.intp], group: int) -> str:
    """Return words for chunks of a row group."""
    named = ", ".join(map(str, channels[:_NAMED].tolist())) + (", ..." if len(channels) > _NAMED else "")
    if len(channels) == 1:
        return f"chunk of channel {named}, row group {group}"
    return f"chunks of {len(channels)} channels ({named}), row group {group}"

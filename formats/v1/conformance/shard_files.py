"""Parses shard files byte by byte: the index at the end, its checksum, and where each inner chunk lies.

A Zarr library returns fill values for a shard or a chunk that is missing, so whether everything is present can only be
seen here. Chunks are not decoded here. Source: Zarr v3, codecs ``sharding_indexed`` and ``crc32c``; RFC 3720 for the
polynomial of CRC-32C.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

CRC_BYTES = 4
DIGEST_BYTES = 16
MISSING = 2**64 - 1


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def identity(path: Path, n_chunks: int) -> dict[str, bytes]:
    """Return what a split's arrays must record of a shard file: its length, and its digest by section 8."""
    data = path.read_bytes()
    index = data[-(CRC_BYTES + 16 * n_chunks) : -CRC_BYTES]
    content = bytearray(index)
    for offset, length in np.frombuffer(index[: len(index) // 16 * 16], dtype="<u8").reshape(-1, 2).tolist():
        there = offset != MISSING and length >= CRC_BYTES
        content += data[offset + length - CRC_BYTES : offset + length].ljust(CRC_BYTES, b"\0") if there else bytes(4)
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
    return {"shard_digest": digest, "shard_bytes": len(data).to_bytes(8, "little")}


def embedded_digest(path: Path, n_chunks: int) -> bytes:
    """Return the digest that stands in the file, before its index."""
    return path.read_bytes()[: -(CRC_BYTES + 16 * n_chunks)][-DIGEST_BYTES:]


def seal(path: Path, n_chunks: int) -> None:
    """Write the digest that fits what the file holds: for the damaged examples."""
    data = bytearray(path.read_bytes())
    end = len(data) - CRC_BYTES - 16 * n_chunks
    data[end - DIGEST_BYTES : end] = identity(path, n_chunks)["shard_digest"]
    path.write_bytes(data)


def read_index(path: Path, n_chunks: int) -> npt.NDArray[np.uint64] | None:
    """Return a shard's index.

    Returns
    -------
    (n_chunks, 2) uint64, or None
        Offset and length of each inner chunk in C order, both 2**64 - 1 for a missing one; None if the file is too
        short or its last bytes are no index of that many chunks with a fitting checksum.
    """
    length = 16 * n_chunks
    tail = path.read_bytes()[-(length + CRC_BYTES) :]
    if len(tail) != length + CRC_BYTES or crc32c(tail[:length]) != int.from_bytes(tail[length:], "little"):
        return None
    return np.frombuffer(tail[:length], dtype="<u8").reshape(n_chunks, 2)


def write_index(path: Path, index: npt.NDArray[np.uint64]) -> None:
    """Replace a shard's index, with a fitting checksum: how the damaged examples are made."""
    data = index.astype("<u8").tobytes()
    body = path.read_bytes()[: -(len(data) + CRC_BYTES)]
    path.write_bytes(body + data + crc32c(data).to_bytes(CRC_BYTES, "little"))

"""The two chunk codecs of the format: blosc-zstd with bit shuffle, and zstd, each followed by CRC-32C.

A :class:`ChunkCodec` holds both sides: the bytes of one inner chunk, through numcodecs and google-crc32c, and the
entries of ``zarr.json`` that tell any Zarr reader the same. It is the general way, for one chunk at a time; row
groups go through :mod:`freqcache.store.encoding` and :mod:`freqcache.store.decoding`, which give the same bytes and
the same values faster. Source: Zarr v3 core specification, codecs ``bytes``, ``blosc``, ``zstd``, ``crc32c``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError

BLOSC_BLOCK: Final = 131_072
"""Bytes of a blosc block: a row group's chunk of 65,536 blocks is one. Bit planes that long compress best."""

CRC_BYTES: Final = 4
"""Length of the CRC-32C that ends a stored chunk and a shard's index, little endian."""

_BITSHUFFLE: Final = 2
BLOSC_HEADER: Final = 16


@dataclass(frozen=True, kw_only=True)
class ChunkCodec:
    """How one inner chunk becomes bytes.

    Attributes
    ----------
    name : str
        ``"blosc"`` (zstd inside, bit shuffle: for int16) or ``"zstd"`` (with frame checksum: for int8).
    level : int
        Compression level, 1..9 for blosc and 1..22 for zstd.
    """

    name: str
    level: int = 1

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        """Return the stored bytes of a C-contiguous chunk."""
        if sys.byteorder == "big":
            chunk = chunk.astype(chunk.dtype.newbyteorder("<"))
        encoded: bytes
        if self.name == "zstd":
            encoded = numcodecs.zstd.compress(chunk, self.level, True)
        else:
            before = numcodecs.blosc.use_threads
            numcodecs.blosc.use_threads = False  # its threads order a frame's blocks by who finishes first
            try:
                encoded = numcodecs.blosc.compress(chunk, b"zstd", self.level, _BITSHUFFLE, BLOSC_BLOCK, chunk.itemsize)
            finally:
                numcodecs.blosc.use_threads = before
        checksum: int = google_crc32c.value(encoded)
        return encoded + checksum.to_bytes(CRC_BYTES, "little")

    def decode_into(self, stored: bytes | memoryview, chunk: npt.NDArray[Any]) -> None:
        """Decode stored bytes into a C-contiguous chunk, checking their checksum.

        Raises
        ------
        StoreError
            If a checksum or the decoded length does not fit.
        """
        stored = bytes(stored)
        encoded, checksum = stored[:-CRC_BYTES], stored[-CRC_BYTES:]
        if google_crc32c.value(encoded) != int.from_bytes(checksum, "little"):
            msg = "CRC-32C does not match"
            raise StoreError(msg)
        if self.name == "blosc":
            _check_blosc_header(encoded, chunk)
        decompress = numcodecs.zstd.decompress if self.name == "zstd" else numcodecs.blosc.decompress
        try:
            decoded = decompress(encoded)
        except (RuntimeError, ValueError, SystemError, MemoryError) as error:
            # The last two are what a frame brings about whose header promises a negative or an absurd size.
            msg = f"{self.name} decoding failed ({str(error) or 'out of memory'})"
            raise StoreError(msg) from error
        if len(decoded) != chunk.nbytes:
            msg = f"decoded to {len(decoded)} bytes, expected {chunk.nbytes}"
            raise StoreError(msg)
        dtype = chunk.dtype.newbyteorder("<")
        chunk[...] = np.frombuffer(decoded, dtype=dtype).reshape(chunk.shape)

    def zarr_compressors(self, itemsize: int) -> list[dict[str, Any]]:
        """Return the ``zarr.json`` entries that follow the ``bytes`` codec."""
        if self.name == "zstd":
            # The frame checksum serves readers that skip crc32c; some bits of a frame's header escape it.
            zstd = {"level": self.level, "checksum": True}
            return [{"name": "zstd", "configuration": zstd}, {"name": "crc32c"}]
        blosc = {
            "typesize": itemsize,
            "cname": "zstd",
            "clevel": self.level,
            "shuffle": "bitshuffle",
            "blocksize": BLOSC_BLOCK,
        }
        return [{"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]

    @classmethod
    def from_zarr(cls, codecs: Sequence[Mapping[str, Any]]) -> ChunkCodec:
        """Return the codec that an inner codec chain of ``zarr.json`` describes.

        Raises
        ------
        StoreError
            If the chain is not one of the two that the format knows.
        KeyError, TypeError, ValueError, OverflowError
            If it is none at all.
        """
        names = [codec["name"] for codec in codecs]
        if names == ["bytes", "zstd", "crc32c"]:
            return cls(name="zstd", level=int(codecs[1]["configuration"]["level"]))
        if names == ["bytes", "blosc", "crc32c"]:
            return cls(name="blosc", level=int(codecs[1]["configuration"]["clevel"]))
        msg = f"codec chain {names} is not [bytes, zstd or blosc, crc32c]"
        raise StoreError(msg)


def _check_blosc_header(frame: bytes, chunk: npt.NDArray[Any]) -> None:
    """Raise StoreError for a frame that is cut, or of another size or element: c-blosc trusts the header."""
    if len(frame) < BLOSC_HEADER or int.from_bytes(frame[12:16], "little") != len(frame):
        msg = f"the blosc frame does not have the {len(frame)} bytes that are stored"
        raise StoreError(msg)
    itemsize, size = frame[3], int.from_bytes(frame[4:8], "little")
    if (itemsize, size) != (chunk.itemsize, chunk.nbytes):
        msg = f"a blosc frame of {size} bytes in elements of {itemsize}, expected {chunk.nbytes} in {chunk.itemsize}"
        raise StoreError(msg)

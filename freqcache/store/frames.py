"""Kernels that decode and encode many chunks in one call, without the GIL: checksum, codec, and copies to their places.

A stored chunk is a zstd frame or a blosc frame (version 2: zstd inside, 16-bit bit shuffle), then its CRC-32C. Blosc's
container is read and written here (a header of 16 bytes, the starts of its blocks, each block a length and a zstd
frame of bit planes); the frames written are those that c-blosc writes, byte for byte. zstd and CRC-32C are C
functions (:mod:`freqcache.store.libraries`). A frame of a kind that is not handled here is :data:`OTHER` and left
to the general codec.

Sources: the container as c-blosc 1.21 documents it (README_CHUNK_FORMAT), Zarr v3 codecs ``blosc``, ``zstd``,
``crc32c``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.compiled import inlined, kernel
from freqcache.store.bitshuffle import shuffle, unshuffle
from freqcache.store.codecs import BLOSC_HEADER, CRC_BYTES
from freqcache.store.foreign import call_codec, copy_memory, extend_crc32c

SOUND: Final = 0
CHECKSUM: Final = 1
OTHER: Final = 2
"""What a decoded chunk can be: sound, with a wrong CRC-32C, or one that only the general codec can judge."""

_VERSION, _ZSTD_VERSION = 2, 1
_COPIED: Final = 0x02
_OURS: Final = 0x04 | 0x10 | 4 << 5
"""Flags: bit shuffle, blocks not split by bytes, zstd."""
_SMALLEST: Final = 128
"""Chunks of fewer bytes are stored as they are."""


@inlined
def _word(octets: Any, at: Any) -> Any:
    """Return a little-endian uint32."""
    value = np.int64(octets[at]) | np.int64(octets[at + 1]) << 8
    return value | np.int64(octets[at + 2]) << 16 | np.int64(octets[at + 3]) << 24


@inlined
def _put_word(octets: Any, at: Any, value: Any) -> None:
    for i in range(4):
        octets[at + i] = (value >> (8 * i)) & 255


@inlined
def _decode_blosc(
    function: Any, context: Any, stored: Any, start: int, length: int, wanted: Any, chunk: Any, planes: Any
) -> int:
    """Decode those blocks of a blosc frame that `wanted` (first, last byte) touches; return what became of it."""
    if length < BLOSC_HEADER:
        return OTHER
    flags, n_bytes, block_bytes = stored[start + 2], _word(stored, start + 4), _word(stored, start + 8)
    if stored[start] != _VERSION or n_bytes != chunk.size or _word(stored, start + 12) != length:
        return OTHER
    if stored[start + 1] != _ZSTD_VERSION or flags | _COPIED != _OURS | _COPIED or stored[start + 3] != 2:
        return OTHER
    source, target = np.uintp(stored.ctypes.data), np.uintp(chunk.ctypes.data)
    if flags & _COPIED:
        if length != BLOSC_HEADER + n_bytes:
            return OTHER
        copy_memory(target, source + np.uintp(start + BLOSC_HEADER), np.uintp(n_bytes))
        return SOUND
    if block_bytes < 2 or block_bytes % 2 or block_bytes > planes.size:
        return OTHER
    n_blocks = -(-n_bytes // block_bytes)
    if BLOSC_HEADER + 4 * n_blocks > length:
        return OTHER
    for block in range(n_blocks):
        first = block * block_bytes
        size = min(block_bytes, n_bytes - first)
        if first >= wanted[1] or first + size <= wanted[0]:
            continue
        at = _word(stored, start + BLOSC_HEADER + 4 * block)
        if at < BLOSC_HEADER + 4 * n_blocks or at + 4 > length:
            return OTHER
        packed = _word(stored, start + at)
        at += 4
        if at + packed > length:
            return OTHER
        place = np.uintp(planes.ctypes.data)
        if packed == size:
            copy_memory(place, source + np.uintp(start + at), np.uintp(size))
        else:
            got = call_codec(function, context, place, np.uintp(size), source + np.uintp(start + at), np.uintp(packed))
            if got != np.uintp(size):
                return OTHER
        if size % PLANE_BYTES:  # bit shuffle is for whole groups of eight elements
            copy_memory(target + np.uintp(first), place, np.uintp(size))
        else:
            unshuffle(planes, size // 2, chunk, first)
    return SOUND


PLANE_BYTES: Final = 16
"""Bytes of eight elements: blocks of a multiple of it are shuffled, others are not."""


@kernel
def decode_chunks(
    functions: npt.NDArray[np.uintp],
    context: int,
    is_blosc: bool,
    stored: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    chunk: npt.NDArray[np.uint8],
    planes: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    faults: npt.NDArray[np.int64],
) -> None:
    """Decode chunks one after the other and copy what is wanted of each to its places.

    Parameters
    ----------
    functions : (3,) uintp
        See :class:`freqcache.store.libraries.Functions`.
    context : int
        A zstd decompression context of this thread.
    is_blosc : bool
        Blosc frames, or else zstd frames.
    stored : uint8
        Bytes that hold the stored chunks.
    starts, lengths : (chunks,) int64
        Where each lies, its CRC-32C included; inside `stored`.
    spans : (spans, 4) int64
        What to copy of every chunk: first byte, number of bytes, place in `out` for the first chunk, and how much
        further it goes for each next chunk. Inside the chunk and inside `out`.
    chunk : uint8
        Work space of exactly a decoded chunk's size.
    planes : uint8
        Work space for a block of a blosc frame; frames with larger blocks are OTHER.
    out : uint8
        Where the spans go. Nothing of a chunk that is not sound is copied.
    faults : (chunks,) int64
        Gets SOUND, CHECKSUM or OTHER for each chunk.
    """
    source, decoded, target = (
        np.uintp(stored.ctypes.data),
        np.uintp(chunk.ctypes.data),
        np.uintp(out.ctypes.data),
    )
    wanted = np.array([chunk.size, 0])
    for s in range(len(spans)):
        wanted[0] = min(wanted[0], spans[s, 0])
        wanted[1] = max(wanted[1], spans[s, 0] + spans[s, 1])
    for k in range(len(starts)):
        start, length = starts[k], lengths[k] - CRC_BYTES
        if length < 0:
            faults[k] = CHECKSUM
            continue
        checksum = extend_crc32c(functions[2], source + np.uintp(start), np.uintp(length))
        if np.int64(checksum) != _word(stored, start + length):
            faults[k] = CHECKSUM
            continue
        if is_blosc:
            faults[k] = _decode_blosc(functions[0], np.uintp(context), stored, start, length, wanted, chunk, planes)
        else:
            got = call_codec(
                functions[0],
                np.uintp(context),
                decoded,
                np.uintp(chunk.size),
                source + np.uintp(start),
                np.uintp(length),
            )
            faults[k] = SOUND if got == np.uintp(chunk.size) else OTHER
        if faults[k] == SOUND:
            for s in range(len(spans)):
                copy_memory(
                    target + np.uintp(spans[s, 2] + k * spans[s, 3]),
                    decoded + np.uintp(spans[s, 0]),
                    np.uintp(spans[s, 1]),
                )


@inlined
def _encode_blosc(function: Any, context: Any, chunk: Any, block_bytes: int, planes: Any, out: Any, at: Any) -> Any:
    """Write a chunk's blosc frame to ``out[at:]``; return its length."""
    n_bytes = chunk.size
    block_bytes = min(block_bytes, n_bytes)
    n_blocks = -(-n_bytes // block_bytes)
    source, target = np.uintp(chunk.ctypes.data), np.uintp(out.ctypes.data)
    end = BLOSC_HEADER + n_bytes
    length: Any = BLOSC_HEADER + 4 * n_blocks
    copied = n_bytes < _SMALLEST
    for block in range(n_blocks):
        if copied:
            break
        first = block * block_bytes
        size = min(block_bytes, n_bytes - first)
        if size % PLANE_BYTES:
            copy_memory(np.uintp(planes.ctypes.data), source + np.uintp(first), np.uintp(size))
        else:
            shuffle(chunk, first, size // 2, planes)
        _put_word(out, at + BLOSC_HEADER + 4 * block, length)
        room = min(size, end - length - 4)
        if room <= 0:
            copied = True
            break
        place = target + np.uintp(at + length + 4)
        packed = np.int64(
            call_codec(function, context, place, np.uintp(room), np.uintp(planes.ctypes.data), np.uintp(size))
        )
        if packed < 0 or packed >= size:  # negative: zstd's errors, here that it does not fit
            if length + 4 + size > end:
                copied = True
                break
            copy_memory(place, np.uintp(planes.ctypes.data), np.uintp(size))
            packed = size
        _put_word(out, at + length, packed)
        length += 4 + packed
    flags = _OURS
    if copied:
        flags |= _COPIED
        copy_memory(target + np.uintp(at + BLOSC_HEADER), source, np.uintp(n_bytes))
        length = end
    out[at], out[at + 1], out[at + 2], out[at + 3] = _VERSION, _ZSTD_VERSION, flags, 2
    _put_word(out, at + 4, n_bytes)
    _put_word(out, at + 8, block_bytes)
    _put_word(out, at + 12, length)
    return length


@kernel
def encode_chunks(
    functions: npt.NDArray[np.uintp],
    context: int,
    block_bytes: int,
    chunks: npt.NDArray[np.uint8],
    planes: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
) -> None:
    """Encode chunks of equal size one after the other into `out`, each followed by its CRC-32C.

    Parameters
    ----------
    functions : (3,) uintp
        See :class:`freqcache.store.libraries.Functions`.
    context : int
        A zstd compression context of this thread.
    block_bytes : int
        Block size of blosc frames of int16 elements; 0 for zstd frames.
    chunks : (chunks, bytes) uint8
        Decoded.
    planes : uint8
        Work space for a block of a blosc frame.
    out : uint8
        With room for every chunk at its largest.
    lengths : (chunks,) int64
        Gets each stored chunk's length; -1 where zstd failed, and nothing after it counts.
    """
    target = np.uintp(out.ctypes.data)
    at: Any = 0
    for k in range(len(chunks)):
        chunk = chunks[k]
        if block_bytes:
            length: Any = _encode_blosc(functions[1], np.uintp(context), chunk, block_bytes, planes, out, at)
        else:
            length = np.int64(
                call_codec(
                    functions[1],
                    np.uintp(context),
                    target + np.uintp(at),
                    np.uintp(out.size - at - CRC_BYTES),
                    np.uintp(chunk.ctypes.data),
                    np.uintp(chunk.size),
                )
            )
            if length < 0:
                lengths[k] = -1
                return
        checksum = extend_crc32c(functions[2], target + np.uintp(at), np.uintp(length))
        _put_word(out, at + length, np.int64(checksum))
        lengths[k] = length + CRC_BYTES
        at += length + CRC_BYTES

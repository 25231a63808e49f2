"""Encodes the chunks of a row group in one call; the bytes are those of :meth:`ChunkCodec.encode`, chunk by chunk."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import BLOSC_BLOCK, ChunkCodec
from freqcache.store.decoding import Octets
from freqcache.store.frames import encode_chunks
from freqcache.store.libraries import Context, functions

_ROOM: Final = 1024
"""What a stored chunk may take beside 129/128 of its raw bytes: zstd's bound is 257/256 and a little."""

_BLOSC_HIGHEST: Final = 9
_ZSTD_HIGHEST: Final = 22


class ChunkEncoder:
    """Encodes row groups of one coefficient array; for one thread at a time.

    Parameters
    ----------
    codec : ChunkCodec
        How.
    """

    def __init__(self, codec: ChunkCodec) -> None:
        self._codec = codec
        self._library = functions()
        self._context: Context | None = None
        if self._library is not None:
            blosc = codec.name == "blosc"
            level = _zstd_level(codec.level) if blosc else codec.level
            self._context = Context(self._library, level=level, checksum=not blosc)
        self._planes = np.empty(BLOSC_BLOCK, dtype=np.uint8)
        self._out = np.empty(0, dtype=np.uint8)

    def encode(self, chunks: npt.NDArray[Any]) -> tuple[Octets, npt.NDArray[np.int64]]:
        """Return the stored bytes of chunks, one after the other.

        Parameters
        ----------
        chunks : (chunks, ...) int8 or int16
            C-contiguous.

        Returns
        -------
        stored : uint8
            Valid until the next call.
        lengths : (chunks,) int64
            Bytes of each.

        Raises
        ------
        StoreError
            If zstd fails, which means that memory is short.
        """
        if self._library is None or self._context is None:
            parts = [self._codec.encode(chunk) for chunk in chunks]
            return np.frombuffer(b"".join(parts), dtype=np.uint8), np.array([len(part) for part in parts])
        raw = chunks.reshape(len(chunks), -1).view(np.uint8)
        room = len(raw) * (raw.shape[1] + raw.shape[1] // 128 + _ROOM)
        if len(self._out) < room:
            self._out = np.empty(room, dtype=np.uint8)
        lengths = np.zeros(len(raw), dtype=np.int64)
        block = BLOSC_BLOCK if self._codec.name == "blosc" else 0
        encode_chunks(self._library.addresses, self._context.address, block, raw, self._planes, self._out, lengths)
        if (lengths < 0).any():
            msg = "zstd cannot compress: out of memory"
            raise StoreError(msg)
        return self._out[: lengths.sum()], lengths


def _zstd_level(level: int) -> int:
    """Return the zstd level that c-blosc's `level` stands for."""
    return _ZSTD_HIGHEST if level == _BLOSC_HIGHEST else 2 * level - 1

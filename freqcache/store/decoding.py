"""Decodes the wanted chunks of a row group in one call and copies their parts to where they are wanted.

Buffers and zstd contexts belong to a thread and are used again and again. A chunk that the compiled kernels do not
take (a bad checksum, or a blosc frame of another kind) goes through :class:`ChunkCodec`, which decodes it or says
what is wrong with it.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.frames import SOUND
from freqcache.store.frames import decode_chunks as decode_in_kernel
from freqcache.store.libraries import Context, functions

Octets = npt.NDArray[np.uint8]

_LARGEST_BLOCK: Final = 1 << 20
"""Bytes of the largest blosc block that the kernel decodes; ours have an eighth of it."""


class ChunkError(Exception):
    """A chunk cannot be trusted.

    Attributes
    ----------
    number : int
        Which of the chunks asked for.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


class Workspace(threading.local):
    """The buffers and the zstd context of the thread that uses it."""

    def __init__(self) -> None:
        library = functions()
        self.context = None if library is None else Context(library)
        self._buffers: dict[str, Octets] = {}

    def buffer(self, name: str, size: int) -> Octets:
        """Return a buffer of `size` bytes with any content, the same memory for the same name."""
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = np.empty(size, dtype=np.uint8)
        return self._buffers[name][:size]


workspace: Final = Workspace()


def decode_chunks(
    codec: ChunkCodec,
    dtype: np.dtype[Any],
    chunk_bytes: int,
    stored: Octets,
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    out: Octets,
) -> None:
    """Decode chunks, check their checksums, copy parts of them.

    Parameters
    ----------
    codec : ChunkCodec
        Of the array.
    dtype : numpy dtype
        Of its elements.
    chunk_bytes : int
        Size of a decoded chunk.
    stored : uint8
        Bytes that hold the stored chunks.
    starts, lengths : (chunks,) int64
        Where each chunk lies in `stored`.
    spans : (spans, 4) int64
        What to copy of every chunk: first byte, number of bytes, place in `out` for the first chunk, and how much
        further it goes for each next chunk.
    out : uint8
        Where to.

    Raises
    ------
    ChunkError
        For the first chunk that is damaged.
    """
    _check_spans(spans, len(starts), chunk_bytes, len(out))
    chunk = workspace.buffer("chunk", chunk_bytes)
    faults = np.full(len(starts), -1, dtype=np.int64)
    library = functions()
    if library is not None and workspace.context is not None:
        planes = workspace.buffer("planes", min(chunk_bytes, _LARGEST_BLOCK))
        is_blosc = codec.name == "blosc"
        decode_in_kernel(
            library.addresses,
            workspace.context.address,
            is_blosc,
            stored,
            starts,
            lengths,
            spans,
            chunk,
            planes,
            out,
            faults,
        )
    for k in np.flatnonzero(faults != SOUND):
        try:
            codec.decode_into(stored[starts[k] : starts[k] + lengths[k]].tobytes(), chunk.view(dtype))
        except StoreError as error:
            raise ChunkError(int(k), str(error)) from error
        for first, length, place, step in spans.tolist():
            place += int(k) * step
            out[place : place + length] = chunk[first : first + length]


def _check_spans(spans: npt.NDArray[np.int64], n_chunks: int, chunk_bytes: int, out_bytes: int) -> None:
    """Raise ValueError for a span that leaves the chunk or `out`: the kernel copies without looking."""
    first, length, place, step = spans.T
    last = place + (n_chunks - 1) * step
    if (
        (spans < 0).any()
        or (first + length > chunk_bytes).any()
        or (n_chunks > 0 and (last + length > out_bytes).any())
    ):
        msg = f"spans leave their chunk of {chunk_bytes} bytes or the output of {out_bytes} bytes"
        raise ValueError(msg)

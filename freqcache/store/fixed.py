"""Reads samples of a fixed store: dense, all of one grid."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.columns import ChunkReader
from freqcache.store.per_sample import Slots
from freqcache.store.places import Place
from freqcache.store.split import Split, by_group
from freqcache.store.threads import run_all
from freqcache_formats.layout import COEFFICIENTS, FIXED_ARRAYS
from freqcache_formats.mask import ChannelMask


class FixedSplit(Split):
    """A split of dense samples, ``(stored channels, block_rows, block_cols)`` each."""

    _OTHER_ARRAYS = FIXED_ARRAYS
    _KIND = "fixed"

    @property
    def _reader(self) -> ChunkReader:
        return self.coefficient_arrays[COEFFICIENTS]

    def _check_reader(self, reader: ChunkReader, rows: int) -> None:
        shape = reader.geometry.shape
        if len(shape) != 4 or shape[:2] != (self.metadata.slots, rows):
            msg = f"{reader.place}: expected {rows} channels of {self.metadata.slots} slots, found shape {shape}"
            raise StoreError(msg)

    def _open_others(self, place: Place) -> None:
        self.quantization = self._steps(place)

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of every sample."""
        _, _, rows, columns = self._reader.geometry.shape
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the coefficients: int8 or int16."""
        return self._reader.geometry.dtype

    @property
    def level(self) -> int:
        """Compression level that the chunks say they were made with."""
        return self._reader.codec.level

    @cached_property
    def quantization(self) -> npt.NDArray[np.float32]:
        """(192,) float32; the step of each channel: ``coefficients * step`` dequantizes. NaN if it is not stored."""
        return self._steps(self.place)

    def _steps(self, place: Place) -> npt.NDArray[np.float32]:
        steps = self._whole(place, "quantization")
        if len(steps) != len(self.channels):
            msg = f"{self.place}: expected quantization of {len(self.channels)} channels, found {len(steps)}"
            raise StoreError(msg)
        return self._of_all(steps, np.nan)

    def read(
        self, slots: Slots, mask: ChannelMask, *, out: npt.NDArray[Any] | None = None, threads: int = 1
    ) -> npt.NDArray[Any]:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.
        out : (len(slots), len(mask), block_rows, block_cols) int8 or int16, optional
            Writable, C-contiguous array to read into; a new one by default. After an error its content is undefined.
        threads : int
            Row groups read at a time.

        Returns
        -------
        (len(slots), len(mask), block_rows, block_cols) int8 or int16
            Quantized coefficients, in the order of `slots` and of the mask; `out` where that was given.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        MaskError
            If a channel is not stored.
        ValueError
            If `out` does not fit.
        """
        self.open()
        wanted, _ = self._present(slots)
        channels = self._rows(mask)
        shape = (len(wanted), len(channels), *self.grid)
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous or not out.flags.writeable:
            # Kernels write to its address, whatever its flags say.
            form = f"{out.dtype} of shape {out.shape}{'' if out.flags.writeable else ', read-only'}"
            msg = f"out: expected writable, C-contiguous {self.dtype} of shape {shape}, found {form}"
            raise ValueError(msg)
        if self._hot is not None and self._hot.covers(mask):
            self._hot.read_fixed(wanted, mask, out, threads)
            return out
        plane = self.grid[0] * self.grid[1]
        groups, rows = np.divmod(wanted, self._reader.geometry.chunk[0])
        spans = np.empty((len(wanted), 4), dtype=np.int64)
        spans[:, 0] = rows * plane
        spans[:, 1] = spans[:, 3] = plane
        spans[:, 2] = np.arange(len(wanted)) * (plane * len(channels))
        work = [
            partial(self._gather, self._reader, group, channels, spans[here], out, int(wanted[here[0]]))
            for group, here in by_group(groups)
        ]
        run_all(work, threads)
        return out

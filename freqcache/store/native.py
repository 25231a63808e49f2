"""Reads samples of a native store: each with its own grids and quantization tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.batches import NativeBatch
from freqcache.store.columns import ChunkReader
from freqcache.store.per_sample import Slots
from freqcache.store.split import Split, by_group
from freqcache.store.threads import run_all
from freqcache_formats.layout import COLUMNS, NATIVE_DTYPE, NATIVE_SAMPLE_ARRAYS
from freqcache_formats.mask import ChannelMask

GEOMETRY: Final = ("blocks", "quantization", "sampling", "width", "height")
"""Per-sample arrays that a batch has rows of."""

Allocate = Callable[[int, type[np.int16]], npt.NDArray[Any]]


class NativeSplit(Split):
    """A split whose samples keep their own grids and quantization tables."""

    _SLOT_ARRAYS = NATIVE_SAMPLE_ARRAYS
    _KIND = "native"
    _READING = ("label", "offset", *GEOMETRY)

    @cached_property
    def _readers(self) -> dict[int, ChunkReader]:
        """By component; those of which no channel is stored have none."""
        return {COLUMNS.index(name): reader for name, reader in self.coefficient_arrays.items()}

    def _check_reader(self, reader: ChunkReader, rows: int) -> None:
        shape, dtype = reader.geometry.shape, reader.geometry.dtype
        if len(shape) != 2 or shape[0] != rows or dtype != NATIVE_DTYPE:
            msg = f"{reader.place}: expected {NATIVE_DTYPE}, {rows} frequencies, found {dtype} of {shape}"
            raise StoreError(msg)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the coefficients: int16."""
        return np.dtype(NATIVE_DTYPE)

    @property
    def level(self) -> int:
        """Compression level that the chunks say they were made with."""
        return next(iter(self._readers.values())).codec.level

    def n_bytes(self, slots: Slots, mask: ChannelMask) -> int:
        """Return the bytes that the masked channels of some slots take in memory."""
        grids = self.take(["blocks"], slots)["blocks"].astype(np.int64)
        frequencies = [len(f) for f in mask.frequencies]
        return int((grids.prod(axis=2) * frequencies).sum()) * np.dtype(NATIVE_DTYPE).itemsize

    def read(self, slots: Slots, mask: ChannelMask, *, threads: int = 1, allocate: Allocate = np.empty) -> NativeBatch:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.
        threads : int
            Row groups of a component read at a time.
        allocate : callable
            Makes the flat arrays of the batch: takes a length and a dtype, returns an array that may hold anything.

        Returns
        -------
        NativeBatch
            A sequence of :class:`NativeSample` in the order of `slots`.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        MaskError
            If a channel is not stored.
        """
        self.open()
        wanted, known = self._present(slots, self._READING)
        self._rows(mask)
        starts = np.zeros((len(wanted), 3), dtype=np.int64)
        flat, work = [], []
        for component, frequencies in enumerate(mask.frequencies):
            sizes = self._sizes(component, wanted, known)
            ends = np.cumsum(sizes * len(frequencies))
            starts[1:, component] = ends[:-1]
            out = allocate(int(ends[-1]) if len(ends) else 0, np.int16)
            flat.append(out)
            if self._hot is not None and self._hot.covers(mask):
                self._hot.read_native(component, wanted, sizes, mask, starts[:, component], out, threads)
            else:
                offsets = known["offset"][:, component]
                work += self._work(component, wanted, offsets, sizes, starts[:, component], frequencies, out)
        run_all(work, threads)
        geometry = {name: known[name] for name in GEOMETRY}
        return NativeBatch(coefficients=tuple(flat), starts=starts, frequencies=mask.frequencies, **geometry)

    def _sizes(
        self, component: int, wanted: npt.NDArray[np.intp], known: dict[str, npt.NDArray[Any]]
    ) -> npt.NDArray[np.int64]:
        """Return how many blocks of a component each sample has, after checking that they lie in one chunk."""
        place = self.place / COLUMNS[component]
        grids = known["blocks"][:, component].astype(np.int64)
        factors = known["sampling"][:, component].astype(np.int64)
        sane = ((factors >= 1) & (factors <= 4)).all(axis=1) | ((factors == 0).all(axis=1) & (grids == 0).any(axis=1))
        if not sane.all():
            number = np.flatnonzero(~sane)[0]
            msg = f"{place}: slot {wanted[number]} has sampling factors {factors[number].tolist()}"
            raise StoreError(msg)
        sizes: npt.NDArray[np.int64] = grids.prod(axis=1)
        outside = (grids < 0).any(axis=1)
        if component in self._readers:
            geometry = self._readers[component].geometry
            groups, firsts = np.divmod(known["offset"][:, component], geometry.chunk[1])
            placed = (groups >= 0) & (groups < geometry.n_groups) & (firsts + sizes <= geometry.chunk[1])
            outside |= (sizes > 0) & ~placed
        if outside.any():
            slot = wanted[np.flatnonzero(outside)[0]]
            msg = f"{place}: the blocks of slot {slot} do not lie in one chunk of the array"
            raise StoreError(msg)
        return sizes

    def _work(
        self,
        component: int,
        wanted: npt.NDArray[np.intp],
        offsets: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        frequencies: npt.NDArray[np.intp],
        out: npt.NDArray[np.int16],
    ) -> list[Callable[[], None]]:
        """Return the reads of one component, a row group each: the wanted frequencies of every sample, into `out`."""
        if len(frequencies) == 0:
            return []
        reader = self._readers[component]
        rows = np.searchsorted(self.channels.frequencies[component], frequencies)
        groups, firsts = np.divmod(offsets, reader.geometry.chunk[1])
        spans = np.stack([firsts, sizes, starts, sizes], axis=1)
        present = np.flatnonzero(sizes)
        return [
            partial(self._gather, reader, group, rows, spans[present[here]], out, int(wanted[present[here[0]]]))
            for group, here in by_group(groups[present])
        ]

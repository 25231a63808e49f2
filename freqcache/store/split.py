"""Reads samples of a split by slot and channel mask.

Only the chunks of the wanted channels are read, each once for all the slots of a call that lie in it. A chunk that
is missing or damaged raises; nothing is ever filled in. Resizing, cropping and torch live elsewhere
(:mod:`freqcache.resample`, :mod:`freqcache.dataset`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, StoreError
from freqcache.store.arrays import read_array
from freqcache.store.attributes import read_attributes
from freqcache.store.columns import ChunkReader
from freqcache_formats.layout import (
    COEFFICIENTS,
    COLUMNS,
    FIXED_ARRAYS,
    NATIVE_SAMPLE_ARRAYS,
    SAMPLE_ARRAYS,
    SPLIT_ARRAYS,
    ArrayLayout,
    Origin,
)
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import SplitMetadata, Statistics

Slots = Sequence[int] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class NativeSample:
    """The masked coefficients of one native sample, each component at its own grid.

    Attributes
    ----------
    coefficients : tuple of three (frequencies, block_rows, block_cols) int16
        Quantized, of Y, Cb and Cr; the frequencies wanted of each, in zigzag order. A grayscale sample's chroma
        has no blocks.
    quantization : tuple of three (frequencies,) uint16
        Their steps: ``coefficients * quantization`` dequantizes.
    frequencies : tuple of three (frequencies,) intp
        Zigzag positions of the first axis.
    sampling : (3, 2) uint8
        Factors (h, v) of each component; zero where a component is absent.
    width, height : int
        Pixels.
    """

    coefficients: tuple[npt.NDArray[np.int16], ...]
    quantization: tuple[npt.NDArray[np.uint16], ...]
    frequencies: tuple[npt.NDArray[np.intp], ...]
    sampling: npt.NDArray[np.uint8]
    width: int
    height: int


class Split:
    """What splits of both kinds share: per-sample values and row groups.

    A *slot* is a position in the per-sample arrays. Slots whose file failed during the build are absent (label
    -1); :attr:`slots` lists the others.
    """

    _SLOT_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _OTHER_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}

    def __init__(self, store: Path, name: str, classes: tuple[str, ...]) -> None:
        self.name = name
        self.classes = classes
        self.path = store / name
        try:
            self.metadata = SplitMetadata.from_dict(read_attributes(self.path))
        except FormatError as error:
            msg = f"{self.path}: {error}"
            raise FormatError(msg) from error

    def __len__(self) -> int:
        """Return the number of samples in the split."""
        return self.metadata.samples

    @property
    def statistics(self) -> Statistics:
        """Of the dequantized coefficients, per channel."""
        return self.metadata.statistics

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a whole per-sample array: see ``formats/v1/spec.md`` for the names.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged or not of the form that the format says.
        """
        per_slot = SAMPLE_ARRAYS | self._SLOT_ARRAYS
        layouts = per_slot | SPLIT_ARRAYS | self._OTHER_ARRAYS
        if name not in layouts:
            msg = f"{self.path}: no array {name!r}; there are {', '.join(layouts)}"
            raise StoreError(msg)
        length = self.metadata.slots if name in per_slot else -1
        return read_array(self.path / name, layouts[name].dtype, (length, *layouts[name].shape))

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(slots,) int64; index into the store's classes, -1 where absent."""
        labels = self.values("label")
        outside = np.flatnonzero((labels < -1) | (labels >= len(self.classes)))
        if len(outside):
            slot = outside[0]
            msg = f"{self.path}: slot {slot} has label {labels[slot]}, there are {len(self.classes)} classes"
            raise StoreError(msg)
        return labels

    @cached_property
    def slots(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; the slots that hold a sample, increasing."""
        absent = self.values("origin") == Origin.ABSENT
        slots = np.flatnonzero(~absent)
        if len(slots) != self.metadata.samples or np.any((self.labels < 0) != absent):
            msg = f"{self.path}: samples, labels and origins disagree about which of the slots are absent"
            raise StoreError(msg)
        return slots

    @cached_property
    def row_groups(self) -> npt.NDArray[np.intp]:
        """(slots,) intp; the row group of each slot. Reading a whole row group decodes each chunk once."""
        starts = self.values("row_group_start")
        lengths = np.diff(starts)
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != self.metadata.slots or np.any(lengths < 0):
            msg = f"{self.path}: row_group_start does not rise from 0 to the {self.metadata.slots} slots"
            raise StoreError(msg)
        return np.repeat(np.arange(len(lengths)), lengths)

    def source_path(self, slot: int) -> str:
        """Return the path of a slot's source file, relative to the source folder."""
        starts, blob = self._source_paths
        return blob[starts[slot] : starts[slot + 1]].tobytes().decode("utf-8", "surrogateescape")

    @cached_property
    def _source_paths(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        return self.values("source_path_offset"), self.values("source_path")

    def _present(self, slots: Slots) -> npt.NDArray[np.intp]:
        """Return `slots` as an array, after checking that each holds a sample."""
        wanted = np.asarray(slots, dtype=np.intp)
        outside = wanted[(wanted < 0) | (wanted >= len(self.labels))]
        if len(outside):
            msg = f"{self.path}: slot {outside[0]} is outside 0..{len(self.labels) - 1}"
            raise StoreError(msg)
        absent = wanted[self.labels[wanted] < 0]
        if len(absent):
            msg = f"{self.path}: slot {absent[0]} is absent: its source file failed during the build"
            raise StoreError(msg)
        return wanted


class FixedSplit(Split):
    """A split of dense samples, ``(192, block_rows, block_cols)`` each."""

    _OTHER_ARRAYS = FIXED_ARRAYS

    @cached_property
    def _reader(self) -> ChunkReader:
        return ChunkReader(self.path / COEFFICIENTS)

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of every sample."""
        _, _, rows, columns = self._reader.geometry.shape
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the coefficients: int8 or int16."""
        return self._reader.geometry.dtype

    @cached_property
    def quantization(self) -> npt.NDArray[np.float32]:
        """(192,) float32; the steps of the store: ``coefficients * quantization`` dequantizes."""
        return self.values("quantization")

    def read(self, slots: Slots, mask: ChannelMask) -> npt.NDArray[Any]:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.

        Returns
        -------
        (len(slots), len(mask), block_rows, block_cols) int8 or int16
            Quantized coefficients, in the order of `slots` and of the mask.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        """
        wanted = self._present(slots)
        group_length = self._reader.geometry.chunk[0]
        out = np.empty((len(wanted), len(mask), *self.grid), dtype=self.dtype)
        groups = wanted // group_length
        for group in np.unique(groups):
            here = np.flatnonzero(groups == group)
            rows = wanted[here] - group * group_length
            for position, channel in enumerate(mask.indices):
                out[here, position] = self._reader.read(int(group), int(channel))[rows, 0]
        return out

    def stored_bytes(self, mask: ChannelMask) -> int:
        """Return the bytes on disk of the mask's channels, over the whole split."""
        return self._reader.stored_bytes(mask.indices)


class NativeSplit(Split):
    """A split whose samples keep their own grids and quantization tables."""

    _SLOT_ARRAYS = NATIVE_SAMPLE_ARRAYS

    @cached_property
    def _readers(self) -> tuple[ChunkReader, ...]:
        return tuple(ChunkReader(self.path / name) for name in COLUMNS)

    @cached_property
    def _geometry(self) -> dict[str, npt.NDArray[Any]]:
        names = ("offset", "blocks", "quantization", "sampling", "width", "height")
        return {name: self.values(name) for name in names}

    def read(self, slots: Slots, mask: ChannelMask) -> list[NativeSample]:
        """Read the masked channels of some slots.

        Parameters
        ----------
        slots : sequence of int
            In any order, repetitions allowed.
        mask : ChannelMask
            The channels.

        Returns
        -------
        list of NativeSample
            In the order of `slots`.

        Raises
        ------
        StoreError
            If a slot is outside the split or absent, or a chunk is missing or damaged.
        """
        wanted = self._present(slots)
        values = self._geometry
        planes = [[np.empty(0, dtype=np.int16)] * 3 for _ in wanted]
        for component in range(3):
            for position, plane in self._read_component(component, wanted, mask.frequencies[component]):
                planes[position][component] = plane
        return [
            NativeSample(
                coefficients=tuple(planes[position]),
                quantization=tuple(values["quantization"][slot, c][mask.frequencies[c]] for c in range(3)),
                frequencies=mask.frequencies,
                sampling=values["sampling"][slot],
                width=int(values["width"][slot]),
                height=int(values["height"][slot]),
            )
            for position, slot in enumerate(wanted)
        ]

    def stored_bytes(self, mask: ChannelMask) -> int:
        """Return the bytes on disk of the mask's channels, over the whole split."""
        return sum(r.stored_bytes(f) for r, f in zip(self._readers, mask.frequencies, strict=True))

    def _read_component(
        self, component: int, wanted: npt.NDArray[np.intp], frequencies: npt.NDArray[np.intp]
    ) -> list[tuple[int, npt.NDArray[np.int16]]]:
        """Read one component's plane for each position in `wanted`."""
        reader = self._readers[component]
        offsets = self._geometry["offset"][wanted, component]
        grids = self._geometry["blocks"][wanted, component]
        length = reader.geometry.chunk[1]
        groups = offsets // length
        sizes = grids[:, 0].astype(np.int64) * grids[:, 1]
        filled = sizes > 0
        outside = (grids < 0).any(axis=1) | (
            filled & ((offsets < 0) | (groups >= reader.geometry.n_groups) | (offsets % length + sizes > length))
        )
        if outside.any():
            slot = wanted[np.flatnonzero(outside)[0]]
            msg = f"{reader.path}: the blocks of slot {slot} do not lie in one chunk of the array"
            raise StoreError(msg)
        planes = [
            (position, np.empty((len(frequencies), *grid), dtype=np.int16)) for position, grid in enumerate(grids)
        ]
        for group in np.unique(groups[filled]):
            here = np.flatnonzero(filled & (groups == group))
            for row, frequency in enumerate(frequencies):
                chunk = reader.read(int(group), int(frequency))[0]
                for position in here:
                    start = offsets[position] - group * length
                    plane = planes[position][1]
                    plane[row] = chunk[start : start + plane[row].size].reshape(plane.shape[1:])
        return planes

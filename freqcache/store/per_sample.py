"""The per-sample arrays of a split: labels, absent slots, row groups, source paths, and whatever else has a row a slot.

What reading samples needs of them comes row by row from :mod:`freqcache.store.rows`; whole arrays are for who asks for
them. Coefficients are :mod:`freqcache.store.split`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.arrays import SmallArray, chunk_key, open_array, read_array, read_parts
from freqcache.store.places import Place
from freqcache.store.rows import RowCache
from freqcache_formats.layout import SAMPLE_ARRAYS, SPLIT_ARRAYS, ArrayLayout, Origin
from freqcache_formats.metadata import SplitMetadata

Slots = Sequence[int] | npt.NDArray[np.integer[Any]]

_PATHS: Final = 256
"""Source paths that are taken from their arrays in one go."""


class PerSample:
    """What a split knows of its samples besides their coefficients.

    A *slot* is a position in the per-sample arrays. Slots whose file failed during the build are absent (label
    -1); :attr:`slots` lists the others.

    Parameters
    ----------
    place : Place
        Folder of the split.
    classes : tuple of str
        Names by label.
    metadata : SplitMetadata
        The split's attributes.
    confirm : callable, optional
        Raises if another store stands here by now. Called after values were fetched and before they are used.
    """

    _SLOT_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}
    _OTHER_ARRAYS: ClassVar[dict[str, ArrayLayout]] = {}

    def __init__(
        self, place: Place, classes: tuple[str, ...], metadata: SplitMetadata, confirm: Callable[[], None] | None
    ) -> None:
        self.place = place
        self.classes = classes
        self.metadata = metadata
        self._by_row = RowCache(place, self._form, confirm)
        self._paths: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        """Return the number of samples in the split."""
        return self.metadata.samples

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a whole per-sample array: see ``formats/v1/spec.md`` for the names.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged or not of the form that the format says.
        """
        return self._whole(self.place, name)

    def take(self, names: Sequence[str], slots: Slots) -> dict[str, npt.NDArray[Any]]:
        """Return rows of per-sample arrays, by name; only the chunks that they lie in are read, and kept.

        Parameters
        ----------
        names : sequence of str
            Arrays with an entry a slot: see ``formats/v1/spec.md``.
        slots : sequence of int
            In any order, repetitions allowed.

        Returns
        -------
        dict of str to (len(slots), ...) array
            In the order of `slots`.

        Raises
        ------
        StoreError
            If there is no such array, a slot is outside the split or absent, or what is read is damaged.
        """
        for name in names:
            if name not in SAMPLE_ARRAYS | self._SLOT_ARRAYS:
                msg = f"{self.place}: no array {name!r} with an entry a slot"
                raise StoreError(msg)
        return self._present(slots, names)[1]

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(slots,) int64; index into the store's classes, -1 where absent."""
        labels = self.values("label")
        self._check_labels(labels, None)
        return labels

    @cached_property
    def absent(self) -> npt.NDArray[np.intp]:
        """(absent slots,) intp; the slots whose source file failed during the build, increasing."""
        absent = self.values("origin") == Origin.ABSENT
        done, agree = 0, True
        for labels in read_parts(self._form("label", self.place)):
            agree = agree and np.array_equal(labels < 0, absent[done : done + len(labels)])
            done += len(labels)
        slots = np.flatnonzero(absent)
        if len(slots) != self.metadata.slots - self.metadata.samples or not agree:
            msg = f"{self.place}: samples, labels and origins disagree about which of the slots are absent"
            raise StoreError(msg)
        return slots

    @cached_property
    def slots(self) -> npt.NDArray[np.intp]:
        """(samples,) intp; the slots that hold a sample, increasing."""
        return np.delete(np.arange(self.metadata.slots), self.absent)

    def slots_of(self, samples: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return ``slots[samples]`` without an entry for each slot: samples counted from 0, without absent slots."""
        if self.metadata.samples == self.metadata.slots:
            return samples
        before = self.absent - np.arange(len(self.absent))  # samples before each absent slot
        return samples + np.searchsorted(before, samples, side="right")

    @cached_property
    def row_groups(self) -> npt.NDArray[np.intp]:
        """(slots,) intp; the row group of each slot. Reading a whole row group decodes each chunk once."""
        starts = self.values("row_group_start")
        lengths = np.diff(starts)
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != self.metadata.slots or np.any(lengths <= 0):
            msg = f"{self.place}: row_group_start does not rise from 0 to the {self.metadata.slots} slots"
            raise StoreError(msg)
        return np.repeat(np.arange(len(lengths)), lengths)

    def source_path(self, slot: int) -> str:
        """Return the path of a slot's source file, relative to the source folder."""
        if not 0 <= slot < self.metadata.slots:
            msg = f"{self.place}: slot {slot} is outside 0..{self.metadata.slots - 1}"
            raise StoreError(msg)
        number, place = divmod(slot, _PATHS)
        if self._paths[0] != number:
            self._paths = (number, self._some_paths(number * _PATHS))
        return self._paths[1][place]

    def _some_paths(self, first: int) -> list[str]:
        """Return the source paths from a slot on."""
        boundaries = np.arange(first, min(first + _PATHS, self.metadata.slots) + 1)
        starts_name, blob_name = "source_path_offset", "source_path"
        length = self._by_row.length(blob_name)
        fits = self._by_row.length(starts_name) == self.metadata.slots + 1
        starts = self._by_row.take([starts_name], boundaries)[starts_name] if fits else np.array([1, 0])
        if starts[0] < 0 or starts[-1] > length or np.any(np.diff(starts) < 0):
            msg = f"{self.place}: {starts_name} does not rise to the {length} bytes of {blob_name}"
            raise StoreError(msg)
        blob = self._by_row.take([blob_name], np.arange(starts[0], starts[-1]))[blob_name].tobytes()
        ends = (starts - starts[0]).tolist()
        return [blob[a:b].decode("utf-8", "surrogateescape") for a, b in pairwise(ends)]

    def _present(
        self, slots: Slots, names: Sequence[str] = ()
    ) -> tuple[npt.NDArray[np.intp], dict[str, npt.NDArray[Any]]]:
        """Return `slots` as an array, after checking that each holds a sample, and their rows of some arrays."""
        wanted = np.asarray(slots, dtype=np.intp)
        outside = wanted[(wanted < 0) | (wanted >= self.metadata.slots)]
        if len(outside):
            msg = f"{self.place}: slot {outside[0]} is outside 0..{self.metadata.slots - 1}"
            raise StoreError(msg)
        rows = self._by_row.take(names if "label" in names else ["label", *names], wanted)
        self._check_labels(rows["label"], wanted)
        absent = wanted[rows["label"] < 0]
        if len(absent):
            msg = f"{self.place}: slot {absent[0]} is absent: its source file failed during the build"
            raise StoreError(msg)
        return wanted, rows

    def _check_labels(self, labels: npt.NDArray[np.int64], slots: npt.NDArray[np.intp] | None) -> None:
        """Raise StoreError for a label that is none: of some slots, or of all."""
        outside = (labels < -1) | (labels >= len(self.classes))
        if outside.any():
            number = int(np.argmax(outside))
            slot = number if slots is None else slots[number]
            msg = f"{self.place}: slot {slot} has label {labels[number]}, there are {len(self.classes)} classes"
            raise StoreError(msg)

    def _layout(self, name: str) -> tuple[ArrayLayout, int]:
        """Return what the format says of an array, and its length; -1 for any."""
        per_slot = SAMPLE_ARRAYS | self._SLOT_ARRAYS
        layouts = per_slot | SPLIT_ARRAYS | self._OTHER_ARRAYS
        if name not in layouts:
            msg = f"{self.place}: no array {name!r}; there are {', '.join(layouts)}"
            raise StoreError(msg)
        return layouts[name], self.metadata.slots if name in per_slot else -1

    def _whole(self, place: Place, name: str) -> npt.NDArray[Any]:
        """Return a whole array, read from `place`, the split's folder."""
        layout, length = self._layout(name)
        return read_array(place / name, layout.dtype, (length, *layout.shape))

    def _form(self, name: str, place: Place) -> SmallArray:
        """Return the form of an array, read from `place`, the split's folder."""
        layout, length = self._layout(name)
        array = open_array(place / name, layout.dtype, (length, *layout.shape))
        return replace(array, place=self.place / name)

    def _first_chunk(self, name: str) -> str:
        """Return the path of an array's first chunk."""
        return f"{name}/{chunk_key(0, len(self._layout(name)[0].dimensions))}"

"""Makes a store's hot copy: one mask's channels of every sample, uncompressed, to be mapped by readers.

The copy lies inside the store, in ``hot/``, and is laid out by section 11 of the specification. It is made chunk by
chunk and resumes as a build does; its group is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache import __version__
from freqcache.building.arrays import write_array, write_array_metadata, write_group, write_sealed_group
from freqcache.building.journal import Journal
from freqcache.errors import BuildError, StoreError
from freqcache.interruption import GOES_ON, going_on
from freqcache.progress import progress
from freqcache.store import FixedSplit, NativeBatch, NativeSplit, Store, open_store
from freqcache.store.places import LocalPlace
from freqcache.store.targets import LocalTarget, Target
from freqcache_formats.hot import CHECKSUM, START, HotMetadata, hot_arrays
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, FIXED_DTYPES, HOT, NATIVE_DTYPE, NATIVE_FILL
from freqcache_formats.mask import ChannelMask

SLOTS_PER_CHUNK: Final = 512
"""Most slots in a chunk file: 24 channels of 56x56 blocks in int8 take 38 MB."""


@dataclass(frozen=True, kw_only=True)
class HotReport:
    """What was made.

    Attributes
    ----------
    path : Path
        The hot copy.
    channels : ChannelMask
        The channels it holds.
    samples : int
        Samples in all splits.
    bytes : int
        Its size on disk.
    """

    path: Path
    channels: ChannelMask
    samples: int
    bytes: int


def make_hot(
    path: str | Path,
    channels: ChannelMask | str | Path,
    *,
    overwrite: bool = False,
    threads: int = 1,
    quiet: bool = False,
) -> HotReport:
    """Make the hot copy of a store.

    Parameters
    ----------
    path : path
        A store in a local folder.
    channels : ChannelMask, preset name or path of a mask.json
        The channels to copy.
    overwrite : bool
        Replace the hot copy that is there.
    threads : int
        Row groups read at a time.
    quiet : bool
        Show no progress.

    Returns
    -------
    HotReport

    Raises
    ------
    BuildError
        If a hot copy is there already, or this one cannot be written.
    StoreError, MaskError
        If the store or the mask cannot be read, or the store does not hold a channel of the mask.
    """
    mask = ChannelMask.load(channels)
    store = open_store(path, hot=False)
    if not isinstance(store.place, LocalPlace):
        msg = f"{store.location}: a hot copy can only be made in a store that is a local folder"
        raise StoreError(msg)
    store.check_holds(mask)
    folder = LocalTarget(store.place.path / HOT)
    wanted = json.dumps([store.id, [str(channel) for channel in mask.channels], SLOTS_PER_CHUNK])
    fingerprint = hashlib.blake2b(wanted.encode(), digest_size=16).hexdigest()
    with going_on(GOES_ON), Journal(folder, fingerprint, overwrite=overwrite) as journal:
        try:
            _fill(store, mask, journal, threads, quiet)
            metadata = HotMetadata(of=store.id, channels=mask, creator=f"freqcache {__version__}")
            write_sealed_group(folder, metadata.to_dict(), store.splits, hot_arrays(store.kind))
            journal.finish()
        except OSError as error:
            msg = f"{folder}: {error.strerror or error}; {GOES_ON}"
            raise BuildError(msg) from error
    size = sum(folder.sizes().values())
    return HotReport(
        path=folder.path, channels=mask, samples=sum(len(store[name]) for name in store.splits), bytes=size
    )


def _fill(store: Store, mask: ChannelMask, journal: Journal, threads: int, quiet: bool) -> None:
    """Write the arrays of every split."""
    splits = [_HotSplit(journal.store / name, store[name], mask, threads) for name in store.splits]
    with progress(sum(split.n_slots for split in splits), "copying", unit="slots", quiet=quiet) as bar:
        for split in splits:
            split.create()
            for number, count in split.chunks():
                done = journal.record(split.folder.name, number)
                if not journal.store.exists(done):
                    split.write(number)
                    journal.store.write(done, b"")
                bar.update(count)
            split.folder.make_lasting()


class _HotSplit:
    """Writes the hot copy of one split."""

    def __init__(self, folder: Target, split: FixedSplit | NativeSplit, mask: ChannelMask, threads: int) -> None:
        self.folder = folder
        self.n_slots = split.metadata.slots
        self._split, self._mask, self._threads = split, mask, threads
        self._per_chunk = max(1, min(SLOTS_PER_CHUNK, self.n_slots))
        self._starts, self._lengths = np.zeros((0, 3), dtype=np.int64), [0, 0, 0]
        if isinstance(split, NativeSplit):
            self._starts, self._lengths = self._places(split)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each chunk and how many slots it holds."""
        for number, start in enumerate(range(0, self.n_slots, self._per_chunk)):
            yield number, min(self._per_chunk, self.n_slots - start)

    def create(self) -> None:
        """Write the metadata of the arrays, and of a native store's copy where its samples lie."""
        self.folder.remove_partials()
        write_group(self.folder, {})
        n_chunks, held = -(-self.n_slots // self._per_chunk), len(self._mask)
        if isinstance(self._split, FixedSplit):
            grid, dtype = self._split.grid, self._split.dtype
            write_array_metadata(
                self.folder / COEFFICIENTS,
                shape=(self.n_slots, held, *grid),
                chunk=(self._per_chunk, held, *grid),
                dtype=dtype,
                fill_value=FIXED_DTYPES[dtype.name],
                dimensions=("sample", "channel", "row", "column"),
            )
        else:
            write_array(self.folder / START, self._starts, ("sample", "component"))
        for name, length in zip(COLUMNS, self._lengths, strict=True):
            if length:
                write_array_metadata(
                    self.folder / name,
                    shape=(length * n_chunks,),
                    chunk=(length,),
                    dtype=np.dtype(NATIVE_DTYPE),
                    fill_value=NATIVE_FILL,
                    dimensions=("element",),
                )
        write_array_metadata(
            self.folder / CHECKSUM,
            shape=(self.n_slots, held),
            chunk=(self._per_chunk, held),
            dtype=np.dtype(np.uint32),
            fill_value=0,
            dimensions=("sample", "channel"),
        )

    def write(self, number: int) -> None:
        """Write one chunk of every array."""
        first = number * self._per_chunk
        slots = self._split.slots
        slots = slots[(slots >= first) & (slots < first + self._per_chunk)]
        checksums = np.zeros((self._per_chunk, len(self._mask)), dtype="<u4")
        if isinstance(self._split, FixedSplit):
            shape = (self._per_chunk, len(self._mask), *self._split.grid)
            values = np.full(shape, FIXED_DTYPES[self._split.dtype.name], dtype=self._split.dtype.newbyteorder("<"))
            values[slots - first] = self._split.read(slots, self._mask, threads=self._threads)
            for row in (slots - first).tolist():
                checksums[row] = [google_crc32c.value(plane.tobytes()) for plane in values[row]]
            self._put(f"{COEFFICIENTS}/c/{number}/0/0/0", values)
        else:
            batch = self._split.read(slots, self._mask, threads=self._threads)
            for component, name in enumerate(COLUMNS):
                if self._lengths[component]:
                    self._put(f"{name}/c/{number}", self._column(component, number, slots, batch))
            for row, sample in zip((slots - first).tolist(), batch, strict=True):
                planes = [plane for part in sample.coefficients for plane in part.astype("<i2")]
                checksums[row] = [google_crc32c.value(plane.tobytes()) for plane in planes]
        self._put(f"{CHECKSUM}/c/{number}/0", checksums)

    def _column(
        self, component: int, number: int, slots: npt.NDArray[np.intp], batch: NativeBatch
    ) -> npt.NDArray[np.int16]:
        """Return a component's chunk: its samples one after the other, then fill values."""
        length = self._lengths[component]
        values = np.full(length, NATIVE_FILL, dtype="<i2")
        for slot, sample in zip(slots.tolist(), batch, strict=True):
            flat = sample.coefficients[component].reshape(-1)
            start = int(self._starts[slot, component]) - number * length
            values[start : start + len(flat)] = flat
        return values

    def _put(self, key: str, values: npt.NDArray[Any]) -> None:
        self.folder.write(key, values.reshape(-1).view(np.uint8).data)

    def _places(self, split: NativeSplit) -> tuple[npt.NDArray[np.int64], list[int]]:
        """Return where each sample starts in each component's array, and how long the chunks are."""
        blocks = split.values("blocks").astype(np.int64).prod(axis=2)
        blocks[np.setdiff1d(np.arange(self.n_slots), split.slots)] = 0
        elements = blocks * [len(frequencies) for frequencies in self._mask.frequencies]
        starts, lengths = np.zeros_like(elements), [0, 0, 0]
        groups = [elements[i : i + self._per_chunk] for i in range(0, self.n_slots, self._per_chunk)]
        for component in range(3):
            if len(self._mask.frequencies[component]):  # a chunk has an element even where all images are gray
                lengths[component] = int(max((group[:, component].sum() for group in groups), default=0)) or 1
        for number, group in enumerate(groups):
            before = np.cumsum(group, axis=0) - group
            first = number * self._per_chunk
            starts[first : first + len(group)] = before + np.array(lengths) * number
        return starts, lengths

"""From samples of a cache to images that can be written as JPEG files.

A native sample keeps its integers, tables and sampling. A fixed one is an image of its own grid without subsampling,
whose steps become whole numbers: see :mod:`freqcache.exporting.steps`. Channels that are not wanted, or that the cache
does not hold, are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError, SourceError
from freqcache.exporting.steps import whole_steps
from freqcache.jpeg import JpegComponent, read_coefficients
from freqcache.jpeg.writer import write_coefficients
from freqcache.store import FixedSplit, NativeSplit, Store
from freqcache.store.per_sample import Slots
from freqcache_formats.channels import N_CHANNELS, N_COMPONENTS, N_FREQUENCIES
from freqcache_formats.mask import ChannelMask

_Parts: TypeAlias = tuple[tuple[JpegComponent, ...], int, int, bool]
"""Components, width, height, whether exact."""


@dataclass(frozen=True, kw_only=True)
class SampleImage:
    """One sample as an image.

    Attributes
    ----------
    components : tuple of JpegComponent
        Y, or Y, Cb and Cr.
    width, height : int
        Pixels.
    orientation : int
        EXIF orientation that the file shall carry: the source's where the build left it unapplied, otherwise 1.
    exact : bool
        Whether the dequantized values are the cache's: false where steps of a fixed cache were no whole numbers.
    """

    components: tuple[JpegComponent, ...]
    width: int
    height: int
    orientation: int
    exact: bool

    def encode(self) -> bytes:
        """Return the JPEG file.

        Raises
        ------
        ExportError
            As :func:`freqcache.jpeg.writer.write_coefficients`.
        """
        return write_coefficients(self.components, width=self.width, height=self.height, orientation=self.orientation)

    def check(self, data: bytes) -> None:
        """Read a JPEG file and compare it with this image.

        Raises
        ------
        ExportError
            If anything differs.
        """
        try:
            found = read_coefficients(data)
        except SourceError as error:
            msg = f"what was written cannot be read back: {error}"
            raise ExportError(msg) from error
        same = not found.warnings and len(found.components) == len(self.components)
        same = same and (found.width, found.height, found.orientation) == (self.width, self.height, self.orientation)
        for ours, theirs in zip(self.components, found.components, strict=False):
            same = same and (ours.h, ours.v) == (theirs.h, theirs.v)
            same = same and np.array_equal(ours.quantization, theirs.quantization)
            same = same and np.array_equal(ours.coefficients, theirs.coefficients)
        if not same:
            msg = "what was written reads back as something else"
            raise ExportError(msg)


def wanted_channels(store: Store, channels: ChannelMask | str) -> ChannelMask:
    """Return the channels of a mask; of the mask of all channels, those that a store holds.

    Raises
    ------
    MaskError
        If the mask cannot be read, or the store does not hold all of its channels.
    """
    mask = ChannelMask.load(channels)
    if mask.is_all:
        return store.channels
    store.check_holds(mask)
    return mask


class ImageReader:
    """Reads samples of one split as images.

    Parameters
    ----------
    store : Store
        The cache.
    split : str
        Name of the split.
    mask : ChannelMask
        The channels, all of which the store holds.
    """

    def __init__(self, store: Store, split: str, mask: ChannelMask) -> None:
        self.split = store[split]
        self._mask = mask
        self._turned = store.metadata.options.get("keep_orientation") is True
        self._orientations = self.split.values("orientation") if self._turned else None

    def read(self, slots: Slots) -> Iterator[SampleImage]:
        """Yield the images of some slots; each chunk is read once.

        Raises
        ------
        StoreError
            If a slot is absent or outside the split, or its chunks are damaged.
        """
        split = self.split
        parts = self._fixed(split, slots) if isinstance(split, FixedSplit) else self._native(split, slots)
        for slot, (components, width, height, exact) in zip(slots, parts, strict=True):
            orientation = 1 if self._orientations is None else int(self._orientations[slot])
            yield SampleImage(
                components=components, width=width, height=height, orientation=orientation or 1, exact=exact
            )

    def _native(self, split: NativeSplit, slots: Slots) -> Iterator[_Parts]:
        batch = split.read(slots, self._mask)
        for number, sample in enumerate(batch):
            components = []
            for index in range(N_COMPONENTS):
                h, v = sample.sampling[index].tolist()
                if h == 0:
                    continue
                planes, frequencies = sample.coefficients[index], sample.frequencies[index]
                if len(frequencies) < N_FREQUENCIES:
                    full = np.zeros((N_FREQUENCIES, *batch.blocks[number, index]), dtype=np.int16)
                    full[frequencies] = planes
                    planes = full
                components.append(_component(index, h, v, batch.quantization[number, index], planes))
            yield tuple(components), sample.width, sample.height, True

    def _fixed(self, split: FixedSplit, slots: Slots) -> Iterator[_Parts]:
        rows, cols = split.grid
        # Of channels that are not taken, the cache may not even know the step.
        steps = np.ones(N_CHANNELS, dtype=np.float32)
        steps[self._mask.indices] = split.quantization[self._mask.indices]
        samplings = split.values("sampling")
        for slot, values in zip(slots, split.read(slots, self._mask), strict=True):
            full = np.zeros((N_CHANNELS, rows, cols), dtype=values.dtype)
            full[self._mask.indices] = values
            gray = not samplings[slot, 1].any() and not full[N_FREQUENCIES:].any()
            components, exact = [], True
            for index in range(1 if gray else N_COMPONENTS):
                mine = slice(N_FREQUENCIES * index, N_FREQUENCIES * (index + 1))
                planes, table, same = whole_steps(full[mine], steps[mine])
                components.append(_component(index, 1, 1, table, planes))
                exact = exact and same
            yield tuple(components), 8 * cols, 8 * rows, exact


def _component(
    index: int, h: int, v: int, table: npt.NDArray[np.uint16], planes: npt.NDArray[np.int16]
) -> JpegComponent:
    return JpegComponent(identifier=index + 1, h=h, v=v, quantization=table, coefficients=planes)

"""One sample of a cache, of either kind, with all its coefficients: what pictures of a sample are made of.

And the pixels of its source file. Nothing is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from freqcache.errors import PlotError, SourceError, StoreError
from freqcache.pillow_files import DAMAGE, DEFAULT_MAX_PIXELS, open_image, pillow_warnings_hidden
from freqcache.plotting.style import text
from freqcache.rgb import coefficients_to_rgb
from freqcache.store import FixedSplit, NativeSplit, Store, open_store
from freqcache.store.finding import find_slot
from freqcache_formats.channels import ALL_CHANNELS, N_FREQUENCIES
from freqcache_formats.layout import Origin
from freqcache_formats.mask import ChannelMask

Split = FixedSplit | NativeSplit


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredSample:
    """A sample with its place, its channels, and what is needed to make pixels of them.

    Attributes
    ----------
    store, kind, split : str
        Name of the store's folder or file; ``"native"`` or ``"fixed"``; the split.
    slot : int
    path, label : str
        Of the source file; the class.
    origin : Origin
    turned : bool
        The EXIF orientation was applied, unless the build was told to leave it.
    held : ChannelMask
        Channels that the store holds.
    coefficients : tuple of three (64, block_rows, block_cols) arrays
        Quantized integers of Y, Cb and Cr, zigzag order; zero for channels that the store does not hold. A grayscale
        sample's chroma has no blocks.
    steps : (3, 64) float64
        Their quantization steps.
    sampling : (3, 2) int
        Factors (h, v) of each component.
    width, height : int
        Pixels.
    channel_bytes : (192,) float64
        Stored bytes of each channel: what this sample has of those of the split by its number of blocks, because
        chunks hold many samples; 0 for channels that the store does not hold.
    """

    store: str
    kind: str
    split: str
    slot: int
    path: str
    label: str
    origin: Origin
    turned: bool
    held: ChannelMask
    coefficients: tuple[npt.NDArray[Any], ...]
    steps: npt.NDArray[np.float64]
    sampling: npt.NDArray[np.int64]
    width: int
    height: int
    channel_bytes: npt.NDArray[np.float64]

    def dequantized(self, component: int) -> npt.NDArray[np.float64]:
        """Return a component's coefficients times their steps: (64, block_rows, block_cols), zigzag order."""
        values: npt.NDArray[np.float64] = self.coefficients[component] * self.steps[component, :, None, None]
        return values

    @property
    def title(self) -> str:
        """Where it is, in words."""
        return f"{text(self.store, 40)}, {self.split}, slot {self.slot}: {text(self.path)}"

    def rgb(self, mask: ChannelMask | None = None) -> npt.NDArray[np.uint8]:
        """Return the image from the channels of a mask, or from all: (height, width, 3) uint8."""
        planes: list[npt.NDArray[Any] | None] = []
        for component, plane in enumerate(self.coefficients):
            kept = plane
            if mask is not None:
                kept = np.zeros_like(plane)
                frequencies = mask.frequencies[component]
                kept[frequencies] = plane[frequencies]
            planes.append(kept if plane.size else None)
        return coefficients_to_rgb(
            planes,
            [None if plane is None else self.steps[component] for component, plane in enumerate(planes)],
            sampling=[(int(h), int(v)) for h, v in self.sampling],
            width=self.width,
            height=self.height,
        )


def open_split(path: str, split: str | None = None) -> tuple[Store, Split]:
    """Open a store and a split of it: the training split, or the first there is, where none is named.

    Raises
    ------
    StoreError, FormatError
        If there is no such store or split, or it has no samples.
    """
    store = open_store(path, hot=False)
    name = split or ("train" if "train" in store.splits else store.splits[0])
    found = store[name]
    if len(found) == 0:
        msg = f"{path}: the split {name} has no samples"
        raise StoreError(msg)
    return store, found


def _bytes_of(split: Split, slot: int) -> npt.NDArray[np.float64]:
    """Return what a sample has of the stored bytes of each channel: (192,) float64, by its share of the blocks."""
    mean = split.channel_bytes() / len(split)
    if isinstance(split, FixedSplit):
        return mean
    blocks = split.values("blocks").astype(np.int64).prod(axis=2)  # (slots, 3)
    of_all = blocks[slot] * len(split) / np.maximum(blocks[split.slots].sum(axis=0), 1)
    taken: npt.NDArray[np.float64] = mean * np.repeat(of_all, N_FREQUENCIES)
    return taken


def read_sample(path: str, index: str | int, split: str | None = None) -> StoredSample:
    """Read all channels of one sample.

    Parameters
    ----------
    path : str
        Path or URL of the store.
    index : int or str
        A slot, or a source path or the end of one: see :mod:`freqcache.store.finding`.
    split : str, optional
        Needed for a slot where there are several splits.

    Raises
    ------
    StoreError, FormatError
        If the store cannot be read, there is no such sample, or several have that name.
    """
    store = open_store(path, hot=False)
    name, slot = find_slot(store, index, split)
    part = store[name]
    held = store.channels
    read = _read_fixed(part, slot, held) if isinstance(part, FixedSplit) else _read_native(part, slot, held)
    coefficients, steps, sampling, size = read
    return StoredSample(
        store=Path(store.location.rstrip("/")).name,
        kind=store.kind,
        split=part.name,
        slot=slot,
        path=part.source_path(slot),
        label=store.classes[int(part.labels[slot])],
        origin=Origin(int(part.values("origin")[slot])),
        turned=not store.metadata.options.get("keep_orientation", False),
        held=held,
        coefficients=coefficients,
        steps=steps,
        sampling=sampling,
        width=size[0],
        height=size[1],
        channel_bytes=_bytes_of(part, slot),
    )


_Parts = tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[np.float64], npt.NDArray[np.int64], tuple[int, int]]


def _read_fixed(split: FixedSplit, slot: int, held: ChannelMask) -> _Parts:
    read = split.read([slot], held)[0]
    whole = np.zeros((len(ALL_CHANNELS), *read.shape[1:]), dtype=read.dtype)
    whole[held.indices] = read
    steps = np.ones(len(ALL_CHANNELS))
    steps[held.indices] = split.quantization[held.indices]
    rows, columns = read.shape[1:]
    planes = tuple(whole.reshape(3, N_FREQUENCIES, rows, columns))
    return planes, steps.reshape(3, N_FREQUENCIES), np.ones((3, 2), dtype=np.int64), (8 * columns, 8 * rows)


def _read_native(split: NativeSplit, slot: int, held: ChannelMask) -> _Parts:
    batch = split.read([slot], held)
    sample = batch[0]
    planes = []
    for component, read in enumerate(sample.coefficients):
        rows, columns = batch.blocks[0, component].tolist()
        plane = np.zeros((N_FREQUENCIES, rows, columns), dtype=read.dtype)
        plane[sample.frequencies[component]] = read
        planes.append(plane)
    steps = batch.quantization[0].astype(np.float64)
    return tuple(planes), steps, sample.sampling.astype(np.int64), (sample.width, sample.height)


def source_pixels(sample: StoredSample, source: str | Path) -> npt.NDArray[np.uint8]:
    """Decode a sample's source file with Pillow, and bring it to the sample's size.

    Parameters
    ----------
    sample : StoredSample
    source : path
        The file itself, or the folder that the store was built from.

    Returns
    -------
    (height, width, 3) uint8
        Where the size is another one, resized by Pillow (bicubic, antialiased), which is not how the store did it.

    Raises
    ------
    PlotError
        If there is no such file, or it cannot be decoded.
    """
    file = Path(source)
    if file.is_dir():
        file /= sample.path
    try:
        data = file.read_bytes()
        with pillow_warnings_hidden:
            image: Image.Image = open_image(data, max_pixels=DEFAULT_MAX_PIXELS)
            if sample.turned:
                image = ImageOps.exif_transpose(image)
            image = image.convert("RGB")
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise PlotError(msg) from error
    except (SourceError, *DAMAGE) as error:
        msg = f"{file}: cannot be decoded: {error}"
        raise PlotError(msg) from error
    size = (sample.width, sample.height)
    if sample.kind == "fixed":  # the centre crop
        return np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC))
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BICUBIC))

"""One sample's image from some of its channels, beside the image from all of them or the source file.

Channels that are left out are zero, and the rest is decoded to pixels (:func:`freqcache.rgb.coefficients_to_rgb`).
Under each picture: its PSNR, and the bytes that its channels take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import PlotError
from freqcache.plotting.stored import StoredSample, read_sample, source_pixels
from freqcache.plotting.style import check_picture, in_bytes, picture, text
from freqcache.quality import psnr
from freqcache_formats.mask import ChannelMask

PRESETS = ("6", "24", "48", "64")


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """An image from some channels.

    Attributes
    ----------
    mask : ChannelMask
        Those of the channels asked for that the store holds.
    name : str
        What was asked for.
    lacking : int
        Channels asked for that the store does not hold.
    pixels : (height, width, 3) uint8
    psnr : float
        In decibels, against the original; infinite where they are equal.
    bytes : float
        Stored bytes of the sample's channels: see :class:`StoredSample`.
    """

    mask: ChannelMask
    name: str
    lacking: int
    pixels: npt.NDArray[np.uint8]
    psnr: float
    bytes: float

    @property
    def caption(self) -> str:
        """Channels, PSNR and bytes in words."""
        quality = "equal" if isinf(self.psnr) else f"{self.psnr:.1f} dB"
        named = "" if self.name == str(len(self.mask)) else f" ({text(self.name, 24)})"
        lacks = f", {self.lacking} not in the store" if self.lacking else ""
        channels = "1 channel" if len(self.mask) == 1 else f"{len(self.mask)} channels"
        return f"{channels}{named}{lacks}\n{quality}, {in_bytes(self.bytes)}"


def reconstruct(
    sample: StoredSample, channels: Sequence[str | Path | ChannelMask], original: npt.NDArray[np.uint8]
) -> list[Reconstruction]:
    """Return a sample's image from each of several sets of channels.

    Parameters
    ----------
    sample : StoredSample
    channels : sequence
        Presets, files or masks: see :meth:`ChannelMask.load`.
    original : (height, width, 3) uint8
        To compare with.

    Raises
    ------
    MaskError
        If one is no mask.
    PlotError
        If the store holds none of a mask's channels.
    """
    made = []
    for source in channels:
        mask = ChannelMask.load(source)
        kept = np.intersect1d(mask.indices, sample.held.indices)
        name = source.name if isinstance(source, ChannelMask) else Path(source).name.removesuffix(".json")
        if len(kept) == 0:
            msg = f"{sample.store}: holds none of the {len(mask)} channels of {name}"
            raise PlotError(msg)
        pixels = sample.rgb(ChannelMask.from_indices(kept))
        made.append(
            Reconstruction(
                mask=ChannelMask.from_indices(kept),
                name=name,
                lacking=len(mask) - len(kept),
                pixels=pixels,
                psnr=psnr(pixels, original),
                bytes=float(sample.channel_bytes[kept].sum()),
            )
        )
    return made


def save_reconstructions(
    path: str | Path,
    sample: StoredSample,
    made: Sequence[Reconstruction],
    original: npt.NDArray[np.uint8],
    *,
    name: str,
    dpi: int | None = None,
) -> None:
    """Draw the original and the images from fewer channels.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    sample : StoredSample
    made : sequence of Reconstruction
    original : (height, width, 3) uint8
    name : str
        What the original is.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    panels = [(original, name), *((one.pixels, one.caption) for one in made)]
    columns, width, height = _layout(sample.width / sample.height, len(panels))
    with picture(path, width=width, height=height, dpi=dpi) as figure:
        grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, (pixels, caption) in zip(grid, panels, strict=False):
            axes.imshow(pixels, interpolation="nearest" if max(pixels.shape) <= 96 else "antialiased")
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            axes.set_xlabel(caption, fontsize=10)
        figure.suptitle(sample.title)
        figure.supxlabel(
            f"{text(sample.label, 40)}, {sample.width} x {sample.height} pixels, {sample.origin.name.lower()}. "
            "Decibels: PSNR against the original.\nBytes: what the channels of this image take in the store, "
            "by its share of the blocks.",
            fontsize=9,
        )


def draw_reconstructions(
    store: str,
    index: str | int,
    path: str | Path,
    *,
    channels: Sequence[str | Path | ChannelMask] | None = None,
    split: str | None = None,
    source: str | Path | None = None,
    dpi: int | None = None,
) -> list[Reconstruction]:
    """Read a sample, and draw its image from several sets of channels beside the original.

    Parameters
    ----------
    store, index, split
        As for :func:`freqcache.plotting.stored.read_sample`.
    path : path
        PNG, SVG or PDF file to write.
    channels : sequence, optional
        Presets, files or masks; those of :data:`PRESETS` that the store holds by default.
    source : path, optional
        The source file, or the folder that the store was built from: the original is then its pixels, decoded by
        Pillow, and otherwise the image from all channels that the store holds.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Returns
    -------
    list of Reconstruction

    Raises
    ------
    FreqcacheError
        As the functions that this one calls.
    """
    check_picture(path)
    for one in channels or ():
        ChannelMask.load(one)  # what is no mask is said before the store is read
    sample = read_sample(store, index, split)
    if source is None:
        original, whole = sample.rgb(), sample.channel_bytes.sum()
        every = (
            "all 192 channels\nthe original"
            if sample.held.is_all
            else f"the {len(sample.held)} channels held\nall there is"
        )
        name = f"{every}, {in_bytes(whole)}"
    else:
        original, name = (
            source_pixels(sample, source),
            f"{text(Path(sample.path).name, 30)}\nthe original, decoded by Pillow",
        )
    if channels is None:
        held = set(sample.held.channels)
        channels = [one for one in PRESETS if set(ChannelMask.load(one).channels) <= held] or [sample.held]
    made = reconstruct(sample, channels, original)
    save_reconstructions(path, sample, made, original, name=name, dpi=dpi)
    return made


def _layout(aspect: float, count: int) -> tuple[int, float, float]:
    """Return the columns of a grid of so many pictures of an aspect (w / h), and the inches of the figure."""
    aspect = min(max(aspect, 1 / 12), 12)
    columns = min(count, 1 if aspect > 3 else 2 if aspect > 1.9 else 3 if aspect > 0.6 else 6)
    if columns == 3 and count in (4, 8):
        columns = 4 if aspect < 1.1 else 2
    side = min(12.6 / columns, 4.2) if columns > 1 else 10.0  # inches of a picture's width
    side = min(side, 7.0 * aspect) if aspect < 1 else side
    rows = -(-count // columns)
    return columns, max(columns * max(side, 1.9), 8.0) + 0.2, rows * (side / aspect + 0.6) + 1.0

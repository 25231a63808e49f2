"""One source file to one sample: which route its coefficients take, and what comes out.

Three routes, recorded as the sample's origin. *Extracted*: the quantized integers of the bitstream, through
:mod:`freqcache.jpeg`. *Reduced*: the same, resized by the linear operator of :mod:`freqcache.resampling` and
quantized again with the file's own tables. *Computed*: decoded to pixels by Pillow, in :mod:`freqcache.pixels`.
:func:`inspect` tells from the header alone what :func:`extract` will give, so that a build can be laid out before
anything is decoded. Nothing here writes a store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache import jpeg, orientation, pixels
from freqcache.errors import CorruptImageError
from freqcache.quantization import dequantize, quantize
from freqcache.resampling.planes import reduce_to_fit, reduced_size
from freqcache_formats.layout import Origin

_JPEG_START: Final = b"\xff\xd8"
FIRST_READ: Final = 1 << 14
"""Bytes of the start of a file that its header is looked for in."""

ON_CORRUPT: Final = ("skip", "keep", "fail")

Grid = tuple[int, int]
Sampling = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions:
    """What decides a sample's integers.

    Attributes
    ----------
    max_size : int or None
        Images with a longer side are reduced to fit; None for no limit.
    keep_orientation : bool
        Leave the file's EXIF orientation unapplied.
    computed_quality : int
        IJG quality, 1..100, of the tables that computed samples are quantized with.
    on_corrupt : str
        ``"skip"`` refuses a damaged file, ``"keep"`` takes what could be decoded, ``"fail"`` ends the build.
    limits : jpeg.Limits
        What a header may ask for.
    """

    max_size: int | None = 512
    keep_orientation: bool = False
    computed_quality: int = 95
    on_corrupt: str = "skip"
    limits: jpeg.Limits = field(default_factory=jpeg.Limits)


@dataclass(frozen=True, kw_only=True)
class Component:
    """One component of a sample.

    Attributes
    ----------
    coefficients : (64, block_rows, block_cols) int16
        Quantized, zigzag order.
    quantization : (64,) uint16
        Steps, zigzag order.
    h, v : int
        Sampling factors.
    """

    coefficients: npt.NDArray[np.int16]
    quantization: npt.NDArray[np.uint16]
    h: int
    v: int

    def dequantized(self) -> npt.NDArray[np.float32]:
        """Return the coefficients times their steps, (64, block_rows, block_cols) float32."""
        return dequantize(self.coefficients, self.quantization)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image as coefficients, on its way into a cache.

    Attributes
    ----------
    width, height : int
        Pixels, after orientation and reduction.
    source_width, source_height : int
        Pixels as the file's header has them.
    components : tuple of Component
        Y, or Y, Cb and Cr.
    origin : Origin
        The route taken.
    orientation : int
        The file's EXIF orientation, 1..8.
    warnings : tuple of str
        Reasons to doubt the file; empty unless damaged files are kept.
    """

    width: int
    height: int
    source_width: int
    source_height: int
    components: tuple[Component, ...]
    origin: Origin
    orientation: int
    warnings: tuple[str, ...] = ()

    @property
    def block_counts(self) -> tuple[int, ...]:
        """Blocks of each component."""
        return tuple(part.coefficients[0].size for part in self.components)


def inspect(read: Callable[[int], bytes], options: ExtractionOptions) -> tuple[int, ...]:
    """Return how many blocks each component of :func:`extract`'s sample will have, from the header alone.

    Numbers of blocks, not grids: a quarter turn leaves them as they are, so orientation need not be known here.

    Parameters
    ----------
    read : callable
        Takes a length and returns so many bytes from the start of the file; the whole file for -1.
    options : ExtractionOptions
        What decides a sample.

    Raises
    ------
    SourceError
        With the reason why the file cannot become a sample.
    BuildError, OSError
        As `read`.
    """
    start = read(FIRST_READ)
    if start[:2] == _JPEG_START:
        try:
            header = jpeg.read_header(start, limits=options.limits)
        except jpeg.HeaderTruncatedError:
            header = jpeg.read_header(read(-1), limits=options.limits)
        width, height = header.width, header.height
        if _is_extractable(header, options):
            sampling: Sampling = tuple((component.h, component.v) for component in header.components)
        else:
            sampling = ((1, 1),) * (1 if header.color_space == "gray" else 3)
    else:
        size = pixels.inspect(read(-1), max_pixels=options.limits.max_pixels)
        width, height = size.width, size.height
        sampling = ((1, 1),) * (1 if size.color_space == "gray" else 3)
    width, height = reduced_size(width, height, options.max_size)
    return tuple(rows * columns for rows, columns in component_grids(width, height, sampling))


def extract(data: bytes, options: ExtractionOptions) -> Sample:
    """Return the sample of one file's bytes.

    Raises
    ------
    SourceError
        With the reason why the file cannot become a sample; :class:`CorruptImageError` where it is damaged and
        `options` do not keep damaged files.
    """
    image = None
    if data[:2] == _JPEG_START:
        image = jpeg.read_coefficients_if(partial(_is_extractable, options=options), data, limits=options.limits)
    sample = _from_pixels(data, options) if image is None else _from_bitstream(image, options)
    if options.max_size is None or max(sample.width, sample.height) <= options.max_size:
        return sample
    return _reduced(sample, options.max_size)


def component_grids(width: int, height: int, sampling: Sampling) -> tuple[Grid, ...]:
    """Return the block rows and columns of each component, by T.81 A.1.1 and A.2.1."""
    h_max = max(h for h, _ in sampling)
    v_max = max(v for _, v in sampling)
    return tuple((_blocks(height, v, v_max), _blocks(width, h, h_max)) for h, v in sampling)


def _blocks(length: int, factor: int, largest: int) -> int:
    samples = -(-length * factor // largest)
    return -(-samples // 8)


def _is_extractable(header: jpeg.JpegHeader, options: ExtractionOptions) -> bool:
    """Whether the bitstream's integers can be the sample's: the colours, and an orientation that is exact."""
    if header.color_space not in {"YCbCr", "gray"}:
        return False
    if options.keep_orientation or header.orientation == 1:
        return True
    sampling = tuple((c.h, c.v) for c in header.components)
    return orientation.is_exact(header.orientation, header.width, header.height, sampling)


def _from_bitstream(image: jpeg.JpegCoefficients, options: ExtractionOptions) -> Sample:
    if image.warnings and options.on_corrupt != "keep":
        raise CorruptImageError("; ".join(image.warnings))
    turn = 1 if options.keep_orientation else image.orientation
    swapped = orientation.swaps_axes(turn)
    width, height = (image.height, image.width) if swapped else (image.width, image.height)
    components = []
    for part in image.components:
        coefficients, steps, h, v = part.coefficients, _without_zero(part), part.h, part.v
        if turn != 1:
            coefficients = orientation.orient_coefficients(coefficients, turn)
            steps = orientation.orient_quantization(steps, turn)
            h, v = (v, h) if swapped else (h, v)
        components.append(Component(coefficients=coefficients, quantization=steps, h=h, v=v))
    return Sample(
        width=width,
        height=height,
        source_width=image.width,
        source_height=image.height,
        components=tuple(components),
        origin=Origin.EXTRACTED,
        orientation=image.orientation,
        warnings=image.warnings,
    )


def _without_zero(part: jpeg.JpegComponent) -> npt.NDArray[np.uint16]:
    """Return a component's steps; a damaged file may lack those of a component without data: any step will do there."""
    missing = part.quantization == 0  # T.81 B.2.4.1 has none
    if missing.any() and part.coefficients[missing].any():
        msg = "a quantization step is zero"
        raise CorruptImageError(msg)
    return np.maximum(part.quantization, 1)


def _from_pixels(data: bytes, options: ExtractionOptions) -> Sample:
    image = pixels.decode_to_coefficients(
        data,
        quality=options.computed_quality,
        apply_orientation=not options.keep_orientation,
        max_pixels=options.limits.max_pixels,
    )
    swapped = not options.keep_orientation and orientation.swaps_axes(image.orientation)
    return Sample(
        width=image.width,
        height=image.height,
        source_width=image.height if swapped else image.width,
        source_height=image.width if swapped else image.height,
        components=tuple(
            Component(coefficients=c.coefficients, quantization=c.quantization, h=c.h, v=c.v) for c in image.components
        ),
        origin=Origin.COMPUTED,
        orientation=image.orientation,
    )


def _reduced(sample: Sample, max_size: int) -> Sample:
    stored = tuple(part.coefficients for part in sample.components)
    steps = tuple(part.quantization for part in sample.components)
    sampling = tuple((part.h, part.v) for part in sample.components)
    planes, width, height = reduce_to_fit(stored, sampling, sample.width, sample.height, max_size, steps)
    components = tuple(
        Component(
            coefficients=quantize(plane.astype(np.float32, copy=False), part.quantization),
            quantization=part.quantization,
            h=part.h,
            v=part.v,
        )
        for plane, part in zip(planes, sample.components, strict=True)
    )
    return Sample(
        width=width,
        height=height,
        source_width=sample.source_width,
        source_height=sample.source_height,
        components=components,
        # A computed sample stays computed: that its pixels were decoded is what a user must know.
        origin=Origin.REDUCED if sample.origin is Origin.EXTRACTED else sample.origin,
        orientation=sample.orientation,
        warnings=sample.warnings,
    )

"""The input of the published DCTNet checkpoints, made from pixels as their repository's evaluation makes it.

The steps of Xu et al.'s public code: the short side resized to 512 (or 1024) pixels, bilinear without antialiasing; a
centre crop of 448 (896); a second copy of it, twice as large, again bilinear; both encoded as JPEG files of quality 100
with 4:2:0 subsampling, of which Y of the first and Cb and Cr of the second are kept, so that all have the same grid.

Theirs resizes with OpenCV and encodes with libjpeg-turbo. :func:`resized` has OpenCV's arithmetic, which cuts fractions
off and so makes images darker by an eighth of a level: after the published normalization that is not little. Pillow
encodes with the same library as theirs. For a network of one's own this is the slow way: see
:class:`freqcache.transforms.EvalTransform` for the coefficients that a file already has, and
``docs/published-weights.md`` for how much the two differ.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from freqcache import jpeg
from freqcache.errors import CorruptImageError, SourceError
from freqcache.normalization import Normalization
from freqcache.pillow_files import DAMAGE, DEFAULT_MAX_PIXELS, open_image, pillow_warnings_hidden
from freqcache_formats.mask import ChannelMask

QUALITY: Final = 100
"""Every quantization step is 1: the integers of the file are dequantized coefficients."""

SUBSAMPLING: Final = "4:2:0"
_UPSCALING: Final = 2

_ONE: Final = 2048
"""Of OpenCV's fixed-point weights."""

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]
Weights = npt.NDArray[np.int32]


def dctnet_input(
    image: str | Path | Image.Image, channels: ChannelMask, *, resize: int = 512, crop: int = 448
) -> Tensor:
    """Return what a published network takes for one image.

    Parameters
    ----------
    image : path or PIL.Image.Image
        Of any kind that Pillow converts to RGB; set upright by its EXIF orientation.
    channels : ChannelMask
        Of the network: :attr:`freqcache.models.dctnet.DctnetModel.channels`.
    resize, crop : int
        What the short side becomes, and the side of the centre crop, a multiple of 8, in pixels: those of the
        :class:`~freqcache.models.dctnet.DctnetModel`.

    Returns
    -------
    (channels, crop / 8, crop / 8) float32
        In the order of `channels`, normalized with the published numbers.

    Raises
    ------
    SourceError
        If a file cannot be read or decoded; the message begins with its path.
    ValueError
        If `crop` is not a positive multiple of 8, or larger than `resize`.
    """
    scale, offset = Normalization.dctnet(channels).affine()
    return dctnet_coefficients(image, channels, resize=resize, crop=crop) * scale[:, None, None] + offset[:, None, None]


def dctnet_coefficients(
    image: str | Path | Image.Image, channels: ChannelMask, *, resize: int = 512, crop: int = 448
) -> Tensor:
    """Return the coefficients of :func:`dctnet_input` before they are normalized: whole numbers, as float32."""
    if crop < 8 or crop % 8 or crop > resize:
        msg = f"expected a crop of a multiple of 8 pixels, 8..{resize} (what the short side becomes), found {crop}"
        raise ValueError(msg)
    small = _centre(_scaled(_pixels(image), resize), crop)
    large = resized(small, _UPSCALING * crop, _UPSCALING * crop)
    luma, (cb, cr) = _encoded(small)[0], _encoded(large)[1:]
    planes = [plane[f] for plane, f in zip((luma, cb, cr), channels.frequencies, strict=True)]
    return torch.from_numpy(np.concatenate(planes).astype(np.float32))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize by bilinear interpolation without antialiasing, as OpenCV's ``INTER_LINEAR`` does for 8 bits.

    Positions are at half pixels. Weights are whole numbers of 1 / 2048; rows are interpolated first along their length
    and kept with 7 bits behind the point, and between two of them products are cut to 2 bits behind the point before
    they are added and rounded. Equal to OpenCV 4.11 and 5.0, bit for bit, where tried.

    Parameters
    ----------
    pixels : (rows, columns, components) uint8
    height, width : int
        Of the result.

    Returns
    -------
    (height, width, components) uint8
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    left, right, of_left, of_right = _taps(pixels.shape[1], width)
    lines = pixels.astype(np.int32)
    lines = (lines[:, left] * of_left[:, None] + lines[:, right] * of_right[:, None]) >> 4
    above, below, of_above, of_below = _taps(pixels.shape[0], height)
    upper = (lines[above] * of_above[:, None, None]) >> 16
    lower = (lines[below] * of_below[:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def _taps(n_source: int, n_result: int) -> tuple[Indices, Indices, Weights, Weights]:
    """Return, of each result, its two sources and their weights of 2048; at the edges both are the outermost."""
    position = ((np.arange(n_result) + 0.5) * (n_source / n_result) - 0.5).astype(np.float32)
    first = np.floor(position).astype(np.intp)
    share = position - first.astype(np.float32)
    first_weight, second_weight = (np.rint(part * np.float32(_ONE)).astype(np.int32) for part in (1 - share, share))
    near, far = (np.clip(first + step, 0, n_source - 1) for step in (0, 1))
    return near, far, first_weight, second_weight


def _scaled(pixels: Pixels, resize: int) -> Pixels:
    """Bring the short side to `resize` pixels and cut off the fraction of the long one."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    return resized(pixels, resize * height // short, resize * width // short)


def _centre(pixels: Pixels, crop: int) -> Pixels:
    top, left = (round((length - crop) / 2) for length in pixels.shape[:2])
    return pixels[top : top + crop, left : left + crop]


def _encoded(pixels: Pixels) -> list[npt.NDArray[np.int16]]:
    """Return the coefficients of the three components of a JPEG file made of RGB pixels."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
    return [component.coefficients for component in jpeg.read_coefficients(file.getvalue()).components]


def _pixels(image: str | Path | Image.Image) -> Pixels:
    """Return (rows, columns, 3) RGB pixels, upright."""
    if isinstance(image, Image.Image):
        return _upright(image)
    try:
        with pillow_warnings_hidden, open_image(_content(image), max_pixels=DEFAULT_MAX_PIXELS) as opened:
            return _upright(opened)
    except SourceError as error:
        msg = f"{image}: {error}"
        raise type(error)(msg) from error
    except DAMAGE as error:
        msg = f"{image}: cannot be decoded: {error}"
        raise CorruptImageError(msg) from error


def _content(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise SourceError(msg) from error


def _upright(image: Image.Image) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))

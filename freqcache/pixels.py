"""The computing path: image files of any kind to coefficients, through pixels.

Files are decoded by Pillow, recognised by their content, never by their name. Pixels become YCbCr
(:mod:`freqcache.rgb`) without subsampling, 8x8 blocks, and coefficients quantized with the IJG tables
(ITU-T T.81, A.3 and Annex K.1). Alpha is dropped, transparent palette entries keep their colour, and of
animations the first frame counts, as in Pillow's ``convert("RGB")``. JPEG files whose own coefficients can be
read need not come here. Damage that libjpeg conceals with a warning, such as flipped bits, passes unseen:
Pillow does not report it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from freqcache.dct import plane_to_blocks
from freqcache.errors import CorruptImageError, SourceError, UnsupportedImageError
from freqcache.pillow_files import (
    DAMAGE,
    DEFAULT_MAX_PIXELS,
    declared_orientation,
    open_image,
    pillow_warnings_hidden,
)
from freqcache.quantization import ijg_table, quantize
from freqcache.rgb import rgb_to_ycbcr

_GRAY_MODES: Final = frozenset({"1", "L", "LA"})
_GRAY16_MODES: Final = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_COLOUR_MODES: Final = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"})

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_STRIP: Final = 128  # pixel rows, a multiple of 8

_ADOBE_RGB: Final = 0
_RGB_IDENTIFIERS: Final = tuple(b"RGB")


@dataclass(frozen=True, kw_only=True, eq=False)
class ComputedComponent:
    """One component computed from pixels.

    Attributes
    ----------
    coefficients : ndarray
        (64, block_rows, block_cols) int16, quantized, zigzag order.
    quantization : ndarray
        (64,) uint16, zigzag order.
    h, v : int
        Sampling factors, always 1: nothing is subsampled.
    """

    coefficients: npt.NDArray[np.int16]
    quantization: npt.NDArray[np.uint16]
    h: int = 1
    v: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class ComputedImage:
    """An image whose coefficients were computed from pixels.

    Attributes
    ----------
    width, height : int
        Pixels, after turning if that was asked for.
    components : tuple of ComputedComponent
        Y, Cb, Cr; or Y alone for gray images.
    orientation : int
        The orientation that the file declares (EXIF tag 274, 1 if none), whether or not it was applied:
        :func:`freqcache.pillow_files.declared_orientation`.
    color_space : str
        ``"YCbCr"`` or ``"gray"``.
    format : str
        Pillow's name of the file's format, such as ``"PNG"``.
    """

    width: int
    height: int
    components: tuple[ComputedComponent, ...]
    orientation: int
    color_space: str
    format: str


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """What the header of an image file says about its pixels.

    Attributes
    ----------
    width, height : int
        Pixels, before any turning.
    color_space : str
        ``"YCbCr"`` or ``"gray"``: what :func:`decode_to_coefficients` will give.
    format : str
        Pillow's name of the file's format, such as ``"PNG"``.
    """

    width: int
    height: int
    color_space: str
    format: str


def inspect(source: str | Path | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> ImageInfo:
    """Read the header of an image file; decode nothing.

    Orientation is left out: a PNG file may declare it behind its pixels.

    Parameters
    ----------
    source : str, Path or bytes
        The file or its contents.
    max_pixels : int
        As in :func:`decode_to_coefficients`.

    Raises
    ------
    SourceError
        If the file cannot be read, and as :func:`decode_to_coefficients` for its contents.
    """
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise SourceError(msg) from error
    with pillow_warnings_hidden, open_image(data, max_pixels=max_pixels) as image:
        return ImageInfo(
            width=image.width,
            height=image.height,
            color_space=_color_space(image.mode, str(image.format)),
            format=str(image.format),
        )


def decode_to_coefficients(
    data: bytes,
    *,
    quality: int = 95,
    apply_orientation: bool = True,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> ComputedImage:
    """Decode an image file and compute its quantized DCT coefficients.

    Parameters
    ----------
    data : bytes
        The whole file.
    quality : int
        IJG quality of the tables to quantize with, 1..100.
    apply_orientation : bool
        Set the image upright by its EXIF (or XMP) orientation, as ``PIL.ImageOps.exif_transpose`` does.
    max_pixels : int
        Refuse files whose header promises more. Pillow's ``Image.MAX_IMAGE_PIXELS`` holds besides.

    Returns
    -------
    ComputedImage
        Three components, or one for gray images.

    Raises
    ------
    UnsupportedImageError
        If Pillow does not recognise the data, or the pixels have no defined 8-bit meaning (32-bit, float,
        Lab).
    CorruptImageError
        If the file is truncated or broken.
    ImageLimitError
        If its header promises more pixels than allowed.
    ValueError
        If `quality` is outside 1..100.
    """
    luma, chroma = ijg_table(quality), ijg_table(quality, chroma=True)
    with pillow_warnings_hidden, open_image(data, max_pixels=max_pixels) as image:
        file_format = str(image.format)
        planes, orientation = _decode(image, apply_orientation=apply_orientation)
    components = tuple(
        ComputedComponent(coefficients=_quantized_blocks(plane, table), quantization=table)
        for plane, table in zip(planes, (luma, chroma, chroma), strict=False)
    )
    height, width = planes[0].shape
    return ComputedImage(
        width=width,
        height=height,
        components=components,
        orientation=orientation,
        color_space="gray" if len(planes) == 1 else "YCbCr",
        format=file_format,
    )


def decode_planes(
    data: bytes, *, apply_orientation: bool = True, max_pixels: int = DEFAULT_MAX_PIXELS
) -> list[npt.NDArray[Any]]:
    """Decode an image file to YCbCr, or to gray: the pixels that :func:`decode_to_coefficients` transforms.

    Parameters
    ----------
    data : bytes
        The whole file.
    apply_orientation, max_pixels
        As in :func:`decode_to_coefficients`.

    Returns
    -------
    list of ndarray
        Y, Cb and Cr, or Y alone, (height, width) each, on the scale of 8-bit samples.

    Raises
    ------
    SourceError
        As :func:`decode_to_coefficients`.
    """
    with pillow_warnings_hidden, open_image(data, max_pixels=max_pixels) as image:
        return _decode(image, apply_orientation=apply_orientation)[0]


def _quantized_blocks(plane: npt.NDArray[Any], table: npt.NDArray[np.uint16]) -> npt.NDArray[np.int16]:
    """Return the quantized block DCT of a plane, computed in strips that stay in the processor's cache."""
    height, width = plane.shape
    quantized = np.empty((64, -(-height // 8), -(-width // 8)), np.int16)
    for top in range(0, height, _STRIP):
        strip = plane_to_blocks(plane[top : top + _STRIP])
        quantized[:, top // 8 : top // 8 + strip.shape[1]] = quantize(strip, table)
    return quantized


def _decode(image: ImageFile.ImageFile, *, apply_orientation: bool) -> tuple[list[npt.NDArray[Any]], int]:
    """Return the planes (height, width) of an opened file, 8-bit gray or YCbCr, and its orientation."""
    try:
        if _is_ycbcr_jpeg(image):
            image.draft("YCbCr", None)
        image.load()
        orientation = declared_orientation(image)
        turn = _TURNS.get(orientation) if apply_orientation else None
        pixels = image if turn is None else image.transpose(turn)
        return _planes(pixels, str(image.format)), orientation
    except UnsupportedImageError:
        raise
    except DAMAGE as error:
        msg = f"broken {image.format} file: {error}"
        raise CorruptImageError(msg) from error


def _is_ycbcr_jpeg(image: ImageFile.ImageFile) -> bool:
    """Whether libjpeg can hand out the YCbCr of the file as it is, which saves two conversions.

    Components are RGB if Adobe's marker or their identifiers say so (as libjpeg decides).
    """
    if image.format not in {"JPEG", "MPO"} or image.mode != "RGB":
        return False
    identifiers = tuple(layer[0] for layer in getattr(image, "layer", ()))
    return image.info.get("adobe_transform") != _ADOBE_RGB and identifiers != _RGB_IDENTIFIERS


def _planes(image: Image.Image, file_format: str) -> list[npt.NDArray[Any]]:
    """Return one gray plane, or Y, Cb and Cr, (height, width) each, on the scale of 8-bit samples."""
    if _color_space(image.mode, file_format) == "gray":
        if image.mode in _GRAY_MODES:
            return [np.asarray(image.convert("L"))]
        return [np.rint(np.asarray(image).astype(np.float32) / 257)]
    if image.mode == "YCbCr":
        return list(np.asarray(image).transpose(2, 0, 1))
    return list(rgb_to_ycbcr(np.asarray(image if image.mode == "RGB" else image.convert("RGB"))))


def _color_space(mode: str, file_format: str) -> str:
    """Return what the pixels of a Pillow mode become, ``"gray"`` or ``"YCbCr"``."""
    # Pillow decodes 16-bit PGM (and older versions 16-bit PNG) to 32-bit integers of the same scale.
    if mode in _GRAY_MODES | _GRAY16_MODES or (mode == "I" and file_format in {"PNG", "PPM"}):
        return "gray"
    if mode in _COLOUR_MODES:
        return "YCbCr"
    msg = f"{file_format} file with pixels of mode {mode!r}: expected gray of 8 or 16 bits, or colour"
    raise UnsupportedImageError(msg)

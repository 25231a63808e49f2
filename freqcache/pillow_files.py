"""Opening image files with Pillow: by content alone, within limits, without its warnings, with our errors.

What Pillow raises on damaged files is not one tree of exceptions; :data:`DAMAGE` names them. Nothing here
decodes pixels: see :mod:`freqcache.pixels`.
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from functools import cache
from io import BytesIO
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError

from freqcache.errors import CorruptImageError, ImageLimitError, UnsupportedImageError

DEFAULT_MAX_PIXELS: Final = 178_956_970
"""Pillow's own limit, 2**31 / 12: its error for decompression bombs starts above it."""

# Raster formats with a signature. Left out on purpose: PostScript, which starts an interpreter on the file,
# and formats without a signature, for which any bytes might pass.
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI", "SGI")

DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged files."""


class _HiddenWarnings:
    """Hides Pillow's warnings (bad EXIF, many pixels, palettes) while any thread is inside.

    The list of warning filters belongs to the process, and ``warnings.catch_warnings`` in several threads at
    once can restore it wrongly; so only the first thread in changes it, and only the last one out restores
    it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


pillow_warnings_hidden: Final = _HiddenWarnings()
"""Context within which Pillow's warnings are not shown; one for all threads."""


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats of `_FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def open_image(data: bytes, *, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header of an image file.

    Parameters
    ----------
    data : bytes
        The whole file.
    max_pixels : int
        Refuse headers that promise more. Pillow's ``Image.MAX_IMAGE_PIXELS`` holds besides.

    Returns
    -------
    PIL.ImageFile.ImageFile
        Not loaded yet; to be closed by the caller.

    Raises
    ------
    UnsupportedImageError
        If Pillow does not recognise the data.
    CorruptImageError
        If the header is broken.
    ImageLimitError
        If there are too many pixels.
    """
    try:
        image = Image.open(BytesIO(data), formats=_formats())
    except UnidentifiedImageError as error:
        msg = f"{len(data)} bytes that are no image Pillow recognises" if data else "the file is empty"
        raise UnsupportedImageError(msg) from error
    except Image.DecompressionBombError as error:
        msg = f"refused by Pillow: {error}"
        raise ImageLimitError(msg) from error
    except DAMAGE as error:
        msg = f"broken header: {error}"
        raise CorruptImageError(msg) from error
    _check_size(image, max_pixels)
    return image


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        msg = f"{image.width} x {image.height} pixels: expected at most {max_pixels}"
        raise ImageLimitError(msg)
    if image.width * image.height == 0:
        msg = f"{image.width} x {image.height} pixels: expected at least one"
        raise CorruptImageError(msg)


def declared_orientation(image: ImageFile.ImageFile) -> int:
    """Return the orientation that the EXIF or XMP metadata of a file declare.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        An opened file.

    Returns
    -------
    int
        EXIF tag 274, 1..8; 1 for metadata that are absent or cannot be parsed, and for unknown values. Always
        1 for TIFF: there the orientation belongs to the layout, and Pillow follows it by itself.
    """
    if image.format == "TIFF":
        return 1
    try:
        value = image.getexif().get(274, 1)
    except DAMAGE:
        return 1
    return value if value in range(1, 9) else 1

"""The public functions: read a JPEG file's headers, or its coefficients.

Compiled code is imported only where coefficients are read, so that looking at headers stays cheap.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from freqcache.errors import CorruptImageError
from freqcache.jpeg.metadata import color_space
from freqcache.jpeg.segments import HeaderTruncatedError, SegmentReader
from freqcache.jpeg.types import JpegCoefficients, JpegHeader, Limits

_FIRST_READ: Final = 1 << 14
_DEFAULT_LIMITS: Final = Limits()


def read_coefficients(source: bytes | str | os.PathLike[str], *, limits: Limits = _DEFAULT_LIMITS) -> JpegCoefficients:
    """Read the quantized DCT coefficients of a JPEG file, without decoding it to pixels.

    Parameters
    ----------
    source : bytes or path
        The file's content, or where it is.
    limits : Limits
        What the headers may ask for.

    Returns
    -------
    JpegCoefficients
        Coefficients of every component at its own grid. Where its ``warnings`` are not empty, the file is damaged
        and the coefficients are what could be decoded: the caller decides what to do with it.

    Raises
    ------
    CorruptImageError
        Nothing usable can be decoded: broken headers, no scan, a missing table.
    UnsupportedImageError
        Not a JPEG file, or one of a kind without 8-bit DCT coefficients in 1, 3 or 4 components, or arithmetic
        coded.
    ImageLimitError
        The headers ask for more than the limits allow.

    Notes
    -----
    Source: ITU-T T.81. The GIL is released while scans are decoded; no state is shared between calls.
    """
    from freqcache.jpeg.decode import Image

    return Image(source if isinstance(source, bytes) else Path(source).read_bytes(), limits).decode()


def read_coefficients_if(
    accept: Callable[[JpegHeader], bool], source: bytes, *, limits: Limits = _DEFAULT_LIMITS
) -> JpegCoefficients | None:
    """Read the coefficients of a file whose header is accepted; the headers are read once.

    Parameters
    ----------
    accept : callable
        Takes the file's header; whether to decode.
    source : bytes
        The file's content.
    limits : Limits
        What the headers may ask for.

    Returns
    -------
    JpegCoefficients or None
        As :func:`read_coefficients`; None where the header was not accepted.

    Raises
    ------
    SourceError
        As :func:`read_coefficients`.
    """
    from freqcache.jpeg.decode import Image

    image = Image(source, limits)
    return image.decode() if accept(image.header) else None


def read_header(source: bytes | str | os.PathLike[str], *, limits: Limits = _DEFAULT_LIMITS) -> JpegHeader:
    """Read what a JPEG file says of itself before its first scan.

    Parameters
    ----------
    source : bytes or path
        The file's content, or where it is. Of a file, no more is read than the headers need.
    limits : Limits
        What the headers may ask for.

    Returns
    -------
    JpegHeader
        Size, sampling, quantization tables, colour space and orientation.

    Raises
    ------
    CorruptImageError, UnsupportedImageError, ImageLimitError
        As :func:`read_coefficients` would for the same headers.
    """
    if isinstance(source, bytes):
        return _header(source, limits)
    with Path(source).open("rb") as file:
        data = file.read(_FIRST_READ)
        while True:
            try:
                return _header(data, limits)
            except HeaderTruncatedError:
                more = file.read(len(data))
                if not more:
                    raise
                data += more


def _header(data: bytes, limits: Limits) -> JpegHeader:
    reader = SegmentReader(data, limits)
    scan = reader.next_scan()
    frame = reader.frame
    if scan is None or frame is None:
        msg = "the file has no scan"
        raise CorruptImageError(msg)
    space, doubt = color_space(tuple(c.identifier for c in frame.components), jfif=reader.jfif, adobe=reader.adobe)
    return frame.header(
        color_space=space,
        orientation=reader.orientation or 1,
        tables=[reader.quantization[c.table] for c in frame.components],
        warnings=(*reader.warnings, *([doubt] if doubt else [])),
    )

"""Colour space and orientation from the application markers.

The colour space is decided as libjpeg decides it: a JFIF marker means YCbCr; then the transform of an Adobe marker
(Adobe technical note 5116) decides; then the component identifiers. Orientation is tag 0x0112 of the first image
file directory of the EXIF marker (CIPA DC-008, TIFF 6.0). Broken metadata never makes an image unreadable.
"""

from __future__ import annotations

from typing import Final, Literal

from freqcache.jpeg.types import ColorSpace

_EXIF: Final = b"Exif\x00\x00"
_ADOBE: Final = b"Adobe"
_ADOBE_LENGTH: Final = 12
_JFIF: Final = b"JFIF\x00"
_JFIF_LENGTH: Final = 14
_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_RGB_IDENTIFIERS: Final = (ord("R"), ord("G"), ord("B"))


def is_jfif(payload: bytes) -> bool:
    """Whether an APP0 payload is a JFIF marker."""
    return payload[:5] == _JFIF and len(payload) >= _JFIF_LENGTH


def adobe_transform(payload: bytes) -> int | None:
    """Transform of an Adobe APP14 payload (0 none, 1 YCbCr, 2 YCCK), or None where it is another marker."""
    if payload[:5] != _ADOBE or len(payload) < _ADOBE_LENGTH:
        return None
    return payload[11]


def color_space(identifiers: tuple[int, ...], *, jfif: bool, adobe: int | None) -> tuple[ColorSpace, str | None]:
    """Colour space of an image, and a warning where its Adobe marker makes no sense.

    Parameters
    ----------
    identifiers : tuple of int
        Component identifiers in the order of the frame header: 1, 3 or 4 of them.
    jfif : bool
        Whether a JFIF marker was seen.
    adobe : int or None
        Transform of the Adobe marker, if one was seen.
    """
    if len(identifiers) == 1:
        return "gray", None
    if len(identifiers) == 4:
        if adobe is None or adobe == 0:
            return "CMYK", None
        return "YCCK", None if adobe == 2 else _unknown_transform(adobe)
    if jfif or adobe == 1:
        return "YCbCr", None
    if adobe is not None:
        return ("RGB", None) if adobe == 0 else ("YCbCr", _unknown_transform(adobe))
    return ("RGB" if identifiers == _RGB_IDENTIFIERS else "YCbCr"), None


def _unknown_transform(transform: int) -> str:
    return f"the Adobe marker has the unknown colour transform {transform}"


def exif_orientation(payload: bytes) -> int | None:
    """Orientation 1..8 of an APP1 payload; None where there is no EXIF in it, or no valid orientation."""
    if payload[:6] != _EXIF:
        return None
    tiff = payload[6:]
    order: Literal["little", "big"]
    if tiff[:4] == b"II*\x00":
        order = "little"
    elif tiff[:4] == b"MM\x00*":
        order = "big"
    else:
        return None
    directory = int.from_bytes(tiff[4:8], order)
    entries = int.from_bytes(tiff[directory : directory + 2], order)
    for start in range(directory + 2, min(directory + 2 + 12 * entries, len(tiff) - 11), 12):
        if int.from_bytes(tiff[start : start + 2], order) == _ORIENTATION_TAG:
            kind = int.from_bytes(tiff[start + 2 : start + 4], order)
            count = int.from_bytes(tiff[start + 4 : start + 8], order)
            value = int.from_bytes(tiff[start + 8 : start + 10], order)
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else None
    return None

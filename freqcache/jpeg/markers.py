"""Marker codes (ITU-T T.81 table B.1, ISO/IEC 14495-1 for JPEG-LS) and the frame types that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from freqcache.jpeg.types import FrameType

SOF0: Final = 0xC0
DHT: Final = 0xC4
RST0: Final = 0xD0
RST7: Final = 0xD7
SOI: Final = 0xD8
EOI: Final = 0xD9
SOS: Final = 0xDA
DQT: Final = 0xDB
DNL: Final = 0xDC
DRI: Final = 0xDD
APP0: Final = 0xE0
APP1: Final = 0xE1
APP14: Final = 0xEE
APP15: Final = 0xEF
COM: Final = 0xFE
TEM: Final = 0x01
DAC: Final = 0xCC

FRAMES: Final[Mapping[int, FrameType]] = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
"""Frame headers of the files that are decoded."""

REFUSED_FRAMES: Final[Mapping[int, str]] = {
    0xC3: "lossless JPEG: it codes samples, not DCT coefficients",
    0xC5: "hierarchical JPEG (differential sequential)",
    0xC6: "hierarchical JPEG (differential progressive)",
    0xC7: "hierarchical lossless JPEG: it codes samples, not DCT coefficients",
    0xC8: "a reserved JPEG extension (frame header FF C8)",
    0xC9: "arithmetic-coded JPEG (sequential)",
    0xCA: "arithmetic-coded JPEG (progressive)",
    0xCB: "arithmetic-coded lossless JPEG: it codes samples, not DCT coefficients",
    0xCD: "arithmetic-coded hierarchical JPEG (differential sequential)",
    0xCE: "arithmetic-coded hierarchical JPEG (differential progressive)",
    0xCF: "arithmetic-coded hierarchical lossless JPEG: it codes samples, not DCT coefficients",
    0xDE: "hierarchical JPEG",
    0xF7: "JPEG-LS: it codes samples, not DCT coefficients",
}
"""Frame headers of other coding processes, and what to say of them."""

OTHER_FORMATS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG file"),
    (b"GIF8", "a GIF file"),
    (b"BM", "a BMP file"),
    (b"II*\x00", "a TIFF file"),
    (b"MM\x00*", "a TIFF file"),
    (b"RIFF", "a RIFF file (WebP?)"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL codestream"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
)
"""First bytes of other image formats, for messages only."""


def marker_name(code: int) -> str:
    """Name of a marker for messages, such as ``FF C4``."""
    return f"FF {code:02X}"

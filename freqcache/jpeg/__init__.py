"""Reads the quantized DCT coefficients of JPEG files.

An own entropy decoder for baseline, extended sequential (8-bit) and progressive Huffman-coded JPEG (ITU-T T.81),
compiled by Numba. It makes no pixels, and knows nothing of caches: see :mod:`freqcache.extraction`.
"""

from __future__ import annotations

from freqcache.jpeg.reader import read_coefficients, read_coefficients_if, read_header
from freqcache.jpeg.segments import HeaderTruncatedError
from freqcache.jpeg.types import ComponentHeader, JpegCoefficients, JpegComponent, JpegHeader, Limits

__all__ = [
    "ComponentHeader",
    "HeaderTruncatedError",
    "JpegCoefficients",
    "JpegComponent",
    "JpegHeader",
    "Limits",
    "read_coefficients",
    "read_coefficients_if",
    "read_header",
]

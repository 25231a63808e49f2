"""Reads the quantized DCT coefficients of JPEG files, and writes them (:mod:`freqcache.jpeg.writer`).

An own entropy decoder for baseline, extended sequential (8-bit) and progressive Huffman-coded JPEG (ITU-T T.81),
and an encoder for the first two, compiled by Numba. They make no pixels, and know nothing of caches: see
:mod:`freqcache.extraction` and :mod:`freqcache.exporting`.
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

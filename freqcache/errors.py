"""The tree of errors that the library raises on purpose.

The command line turns each :class:`FreqcacheError` into one line; anything else is a defect and shows its
traceback. Errors of the format itself live one layer below, in :mod:`freqcache_formats.errors`.
"""

from __future__ import annotations

from freqcache_formats.errors import FormatError, FreqcacheError, MaskError

__all__ = [
    "BuildError",
    "CorruptImageError",
    "ExportError",
    "FormatError",
    "FreqcacheError",
    "ImageLimitError",
    "MaskError",
    "NoSamplesError",
    "PlotError",
    "SourceError",
    "StoreError",
    "TrainingError",
    "UnsupportedImageError",
]


class SourceError(FreqcacheError, ValueError):
    """A source image cannot become a sample; the message gives the reason, the caller adds the file's name."""


class UnsupportedImageError(SourceError):
    """The file is intact as far as was looked, but has no 8-bit DCT coefficients that the cache can hold."""


class CorruptImageError(SourceError):
    """The file is damaged: truncated, with bad codes, or with inconsistent headers."""


class ImageLimitError(SourceError):
    """The file's header asks for more memory or work than the limits allow."""


class BuildError(FreqcacheError):
    """A build cannot start or cannot finish."""


class NoSamplesError(BuildError):
    """Not one of a source's files could be used."""


class StoreError(FreqcacheError):
    """A store cannot be opened or a chunk of it cannot be trusted."""


class ExportError(FreqcacheError):
    """Samples cannot be written as image files."""


class TrainingError(FreqcacheError):
    """A training run cannot start or cannot go on."""


class PlotError(FreqcacheError):
    """A picture cannot be drawn, or not be written where it is to go."""

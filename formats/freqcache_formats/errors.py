"""The exceptions of the format layer; :mod:`freqcache.errors` grows the same tree.

Every message names the object (file, store, array, mask), what was expected and what was found.
"""

from __future__ import annotations


class FreqcacheError(Exception):
    """Base of every error this project raises on purpose; the command line shows it as one line."""


class FormatError(FreqcacheError, ValueError):
    """Metadata, a store or a file does not follow the format specification."""


class MaskError(FormatError):
    """A channel mask is malformed, empty, or does not fit the channels at hand."""

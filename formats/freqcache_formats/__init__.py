"""The freqcache formats: channels, masks and store metadata, as pure description.

This layer knows no image codec, no torch and no store: it can be read, and reimplemented, on its own. The
specification is ``formats/v1/spec.md`` in the source tree.
"""

from __future__ import annotations

from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS, N_CHANNELS, N_FREQUENCIES, Channel
from freqcache_formats.errors import FormatError, FreqcacheError, MaskError
from freqcache_formats.mask import ChannelMask

__all__ = [
    "ALL_CHANNELS",
    "COMPONENTS",
    "N_CHANNELS",
    "N_FREQUENCIES",
    "Channel",
    "ChannelMask",
    "FormatError",
    "FreqcacheError",
    "MaskError",
]

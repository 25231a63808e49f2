"""What a store's arrays are like, whatever its samples come from: kind, channels, dtype, steps, compression.

A build's form follows from its options, a rewritten store's from the stores that it is made of. Source: the
specification, ``formats/v1/spec.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.building.options import BuildOptions
from freqcache.quantization import fixed_steps
from freqcache.store.codecs import ChunkCodec
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import (
    BLOCK_SIZE,
    NATIVE_DTYPE,
    array_rows,
)
from freqcache_formats.mask import ChannelMask


@dataclass(frozen=True, kw_only=True, eq=False)
class StoreForm:
    """What the arrays of a store are like.

    Attributes
    ----------
    channels : ChannelMask
        The channels that are stored.
    level : int
        Compression level of the chunk codec.
    dtype : numpy dtype
        Of the coefficients.
    grid : tuple of int or None
        Block rows and columns of every sample; None for a native store.
    steps : (channels,) float32 or None
        Quantization steps of a fixed store.
    """

    channels: ChannelMask
    level: int
    dtype: np.dtype[Any]
    grid: tuple[int, int] | None = None
    steps: npt.NDArray[np.float32] | None = None

    @classmethod
    def of_build(cls, options: BuildOptions) -> StoreForm:
        """Return the form of a store that is built with `options`."""
        channels = ChannelMask.preset("192")
        if options.size is None:
            return cls(channels=channels, level=options.level, dtype=np.dtype(NATIVE_DTYPE))
        side = options.size // BLOCK_SIZE
        return cls(
            channels=channels,
            level=options.level,
            dtype=np.dtype("int16" if options.exact else "int8"),
            grid=(side, side),
            steps=np.ones(N_CHANNELS, dtype=np.float32) if options.exact else fixed_steps(),
        )

    @property
    def kind(self) -> str:
        """``"native"`` or ``"fixed"``."""
        return "native" if self.grid is None else "fixed"

    @property
    def codec(self) -> ChunkCodec:
        """Of the chunks."""
        return ChunkCodec(name="blosc" if self.grid is None else "zstd", level=self.level)

    @property
    def rows(self) -> dict[str, range]:
        """The coefficient arrays by name, and which of the stored channels each holds, in the order of the format."""
        return array_rows(self.kind, self.channels.indices)

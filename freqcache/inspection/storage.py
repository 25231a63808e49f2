"""What takes a split's bytes: arrays, channels, groups of frequencies, presets.

The bytes of a channel are those of its stored chunks, from the shards' indexes; no chunk is read. Indexes and
digests of the shards belong to no channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from freqcache.store import FixedSplit, NativeSplit
from freqcache.store.columns import ChunkReader
from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS
from freqcache_formats.mask import ChannelMask

PRESETS: Final = ("6", "24", "32", "48", "64", "192")

BANDS: Final = {"low": (0, 3), "mid": (4, 7), "high": (8, 14)}
"""Groups of frequencies, by the first and last v + u: 10, 26 and 28 frequencies of a component."""


@dataclass(frozen=True, kw_only=True)
class ArrayReport:
    """A coefficient array.

    Attributes
    ----------
    dtype : str
        int8 or int16.
    shape, chunk, shard : tuple of int
        Of the array, an inner chunk and a shard.
    shards : int
        Number of shard files.
    codec : str
        ``"blosc"`` (zstd inside, bit shuffle) or ``"zstd"``.
    level : int
        Its compression level.
    bytes : int
        Of its shard files, as the split records them.
    """

    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    shards: int
    codec: str
    level: int
    bytes: int

    @classmethod
    def of(cls, reader: ChunkReader, size: int) -> ArrayReport:
        """Describe an array whose shard files have `size` bytes."""
        geometry = reader.geometry
        return cls(
            dtype=geometry.dtype.name,
            shape=geometry.shape,
            chunk=geometry.chunk,
            shard=geometry.shard,
            shards=geometry.n_shards,
            codec=reader.codec.name,
            level=reader.codec.level,
            bytes=size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "chunk": list(self.chunk),
            "shard": list(self.shard),
            "shards": self.shards,
            "codec": self.codec,
            "level": self.level,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, kw_only=True)
class StorageReport:
    """The bytes of coefficients, of one split or of several.

    Attributes
    ----------
    samples : int
        That share the bytes.
    coefficients : int
        Bytes of all shard files.
    channels : dict of str to int
        Bytes of the stored chunks of each channel held, by its name such as ``Y(0,1)``, in storage order.
    """

    samples: int
    coefficients: int
    channels: Mapping[str, int]

    @classmethod
    def join(cls, parts: list[StorageReport]) -> StorageReport:
        """Return the sums over splits."""
        return cls(
            samples=sum(part.samples for part in parts),
            coefficients=sum(part.coefficients for part in parts),
            channels={name: sum(part.channels[name] for part in parts) for name in parts[0].channels},
        )

    @property
    def presets(self) -> dict[str, int | None]:
        """Bytes of the channels of each of :data:`PRESETS`; None where the store does not hold them all."""
        masks = {name: [str(channel) for channel in ChannelMask.preset(name).channels] for name in PRESETS}
        return {
            name: sum(self.channels[c] for c in names) if all(c in self.channels for c in names) else None
            for name, names in masks.items()
        }

    def band(self, component: str | None, band: str | None) -> int:
        """Return the bytes of a component's frequencies of a band; None stands for all."""
        low, high = (0, 14) if band is None else BANDS[band]
        return sum(
            self.channels.get(str(channel), 0)
            for channel in ALL_CHANNELS
            if component in {None, channel.component} and low <= channel.v + channel.u <= high
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON; all numbers are bytes of all samples together."""
        return {
            "samples": self.samples,
            "coefficients": self.coefficients,
            "channels": dict(self.channels),
            "bands": {c: {band: self.band(c, band) for band in BANDS} for c in COMPONENTS},
            "presets": self.presets,
        }


def describe_storage(
    split: FixedSplit | NativeSplit, held: ChannelMask
) -> tuple[dict[str, ArrayReport], StorageReport]:
    """Return a split's coefficient arrays by name, and what takes their bytes.

    Raises
    ------
    StoreError
        If an array or a shard's index is missing or damaged.
    """
    readers = split.coefficient_arrays
    sizes = split.values("shard_bytes").sum(axis=1).tolist()
    arrays = {name: ArrayReport.of(reader, size) for (name, reader), size in zip(readers.items(), sizes, strict=True)}
    stored = split.channel_bytes()
    storage = StorageReport(
        samples=len(split),
        coefficients=sum(sizes),
        channels={str(channel): int(stored[channel.storage_index]) for channel in held.channels},
    )
    return arrays, storage

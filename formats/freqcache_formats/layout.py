"""The arrays of a split, version 1: names, dtypes, dimensions and codec parameters.

These are the constants of ``formats/v1/spec.md``; a reader or writer in any language needs no others. Chunk
lengths, shard lengths and the number of samples belong to a store and stand in its own metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache_formats.channels import N_FREQUENCIES

FORMAT_VERSION: Final = "1.1"
ATTRIBUTE: Final = "freqcache"
"""Key of this format's attributes in the ``zarr.json`` of the root and of every split."""

BLOCK_SIZE: Final = 8
LEVEL_SHIFT: Final = 128

KINDS: Final = ("native", "fixed")
COLUMNS: Final = ("y", "cb", "cr")
"""Coefficient arrays of a native split, one a component of which the store holds a channel."""

COEFFICIENTS: Final = "coefficients"
"""Coefficient array of a fixed split."""

HOT: Final = "hot"
"""Folder of a store that holds its hot copy, and the copy's ``kind``; no split has this name."""

NATIVE_DTYPE: Final = "int16"
NATIVE_FILL: Final = -32768
FIXED_DTYPES: Final = {"int8": -128, "int16": -32768}
"""Dtypes of a fixed split's coefficients, each with its fill value: never a coded value."""

ROW_GROUP_BLOCKS: Final = 65_536
"""Luma blocks that a native row group aims at (a single larger image makes a group of its own)."""

BIT_SHUFFLE_UNIT: Final = 8
"""A native chunk's length is a multiple of it: blosc stores a block of any other length without bit shuffle."""

ROW_GROUP_SAMPLES: Final = 16
"""Samples in a row group of a fixed split: the chunk length of its first axis."""

SHARD_SAMPLES: Final = 512
"""Samples that a shard aims at."""

DIGEST_BYTES: Final = 16
"""XXH3-128 of source files, BLAKE2b-128 of shard files' indexes and checksums."""


class Origin(IntEnum):
    """How a sample's integers came about; the values of the ``origin`` array."""

    EXTRACTED = 0
    """The integers of the JPEG bitstream itself."""
    REDUCED = 1
    """Bitstream coefficients through the linear resize operator, then quantized again."""
    COMPUTED = 2
    """Decoded to pixels, transformed and quantized, because the file has no coefficients to give."""
    ABSENT = 255
    """A planned file that failed: the slot is empty and its label is -1."""


@dataclass(frozen=True)
class ArrayLayout:
    """A small array: dtype, dimension names, and the lengths of all dimensions but the first (-1: any)."""

    dtype: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...] = ()


SAMPLE_ARRAYS: Final[dict[str, ArrayLayout]] = {
    "label": ArrayLayout("int64", ("sample",)),
    "width": ArrayLayout("int32", ("sample",)),
    "height": ArrayLayout("int32", ("sample",)),
    "source_width": ArrayLayout("int32", ("sample",)),
    "source_height": ArrayLayout("int32", ("sample",)),
    "sampling": ArrayLayout("uint8", ("sample", "component", "hv"), (3, 2)),
    "orientation": ArrayLayout("uint8", ("sample",)),
    "origin": ArrayLayout("uint8", ("sample",)),
    "source_bytes": ArrayLayout("int64", ("sample",)),
    "source_digest": ArrayLayout("uint8", ("sample", "byte"), (DIGEST_BYTES,)),
}
"""Arrays with one entry a slot that every split has."""

NATIVE_SAMPLE_ARRAYS: Final[dict[str, ArrayLayout]] = {
    "offset": ArrayLayout("int64", ("sample", "component"), (3,)),
    "blocks": ArrayLayout("int32", ("sample", "component", "rowcol"), (3, 2)),
    "quantization": ArrayLayout("uint16", ("sample", "component", "frequency"), (3, 64)),
}
"""Arrays with one entry a slot that a native split has besides."""

SPLIT_ARRAYS: Final[dict[str, ArrayLayout]] = {
    "source_path": ArrayLayout("uint8", ("byte",)),
    "source_path_offset": ArrayLayout("int64", ("boundary",)),
    "row_group_start": ArrayLayout("int64", ("boundary",)),
    "shard_digest": ArrayLayout("uint8", ("array", "shard", "byte"), (-1, DIGEST_BYTES)),
    "shard_bytes": ArrayLayout("int64", ("array", "shard"), (-1,)),
}
"""The other arrays that every split has."""

FIXED_ARRAYS: Final[dict[str, ArrayLayout]] = {"quantization": ArrayLayout("float32", ("channel",))}
"""Arrays that a fixed split has besides."""


def coefficient_arrays(kind: str) -> tuple[str, ...]:
    """Return the names of a split's coefficient arrays, in the order of the channels, for a kind of store."""
    return COLUMNS if kind == "native" else (COEFFICIENTS,)


def array_rows(kind: str, channels: npt.NDArray[np.intp]) -> dict[str, range]:
    """Return the coefficient arrays of a store, and which of its channels each holds: places in `channels`.

    Parameters
    ----------
    kind : str
        Of the store.
    channels : (channels,) intp
        Storage indices of the channels that it holds, increasing. A component without any has no array.
    """
    if kind == "fixed":
        return {COEFFICIENTS: range(len(channels))}
    cuts = np.searchsorted(channels, np.arange(len(COLUMNS) + 1) * N_FREQUENCIES).tolist()
    return {name: range(cuts[c], cuts[c + 1]) for c, name in enumerate(COLUMNS) if cuts[c] < cuts[c + 1]}


def small_arrays(kind: str) -> dict[str, ArrayLayout]:
    """Return a split's arrays but those of the coefficients, for a kind of store; those with an entry a slot first."""
    return per_slot_arrays(kind) | SPLIT_ARRAYS | ({} if kind == "native" else FIXED_ARRAYS)


def per_slot_arrays(kind: str) -> dict[str, ArrayLayout]:
    """Return a split's arrays with one entry a slot, for a kind of store."""
    return SAMPLE_ARRAYS | (NATIVE_SAMPLE_ARRAYS if kind == "native" else {})

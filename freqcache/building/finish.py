"""The end of a build: per-sample arrays, statistics and metadata, gathered from the shards' records.

Everything but the coefficient shards is written here; the root group comes last and makes the store complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.building.arrays import (
    remove_partials,
    sync_folder_tree,
    write_array,
    write_array_metadata,
    write_group,
    write_sealed_group,
)
from freqcache.building.options import BuildOptions
from freqcache.building.plan import SplitPlan
from freqcache.building.shard import SHARD_FILES, ShardRecord
from freqcache.quantization import fixed_steps
from freqcache.statistics import Accumulator
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry
from freqcache.store.content import split_digest, store_id
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.layout import (
    ATTRIBUTE,
    FIXED_ARRAYS,
    FIXED_DTYPES,
    NATIVE_FILL,
    SPLIT_ARRAYS,
    Origin,
    coefficient_arrays,
    per_slot_arrays,
    small_arrays,
)
from freqcache_formats.metadata import SplitMetadata, StoreMetadata


def write_split(store: Path, plan: SplitPlan, records: Sequence[ShardRecord], options: BuildOptions) -> bytes:
    """Write everything of a split but its shards; return a digest of its content (16 bytes)."""
    samples = {name: np.concatenate([record.samples[name] for record in records]) for name in records[0].samples}
    accumulator = Accumulator()
    for record in records:
        accumulator.merge(Accumulator(record.statistics))
    metadata = SplitMetadata(
        slots=plan.n_slots,
        samples=int(np.count_nonzero(samples["origin"] != Origin.ABSENT)),
        statistics=accumulator.result(),
    )
    folder = store / plan.name
    remove_partials(folder)
    write_group(folder, {ATTRIBUTE: metadata.to_dict()})
    codec = ChunkCodec(name="blosc" if options.size is None else "zstd", level=options.level)
    for name, geometry in plan.arrays.items():
        _write_coefficients_metadata(folder / name, geometry, codec)
    for name, layout in per_slot_arrays(options.kind).items():
        write_array(folder / name, samples[name], layout.dimensions)
    paths = [slot.file.path.encode("utf-8", "surrogateescape") for slots in plan.groups for slot in slots]
    ends = np.cumsum([0, *map(len, paths)], dtype=np.int64)
    starts = np.cumsum([0, *map(len, plan.groups)], dtype=np.int64)
    others: dict[str, npt.NDArray[Any]] = {
        "source_path": np.frombuffer(b"".join(paths), dtype=np.uint8),
        "source_path_offset": ends,
        "row_group_start": starts,
    }
    others |= {name: np.stack([record.files[name] for record in records], axis=1) for name in SHARD_FILES}
    for name, values in others.items():
        write_array(folder / name, values, SPLIT_ARRAYS[name].dimensions)
    if options.size is not None:
        steps = np.ones(N_CHANNELS, dtype=np.float32) if options.exact else fixed_steps()
        write_array(folder / "quantization", steps, FIXED_ARRAYS["quantization"].dimensions)
    sync_folder_tree(folder, skip={folder / name / "c" for name in plan.arrays})
    return split_digest(options.kind, samples | others)


def write_root(
    store: Path, splits: dict[str, bytes], classes: Sequence[str], options: BuildOptions, creator: str
) -> None:
    """Write the root group: from here on the store is complete.

    Parameters
    ----------
    store : Path
        The store.
    splits : dict of str to bytes
        Each split's digest, from :func:`write_split`.
    classes : sequence of str
        Names by label.
    options : BuildOptions
        Recorded in the attributes.
    creator : str
        Software and version.
    """
    metadata = StoreMetadata(
        id=store_id(options.kind, classes, range(N_CHANNELS), splits),
        kind=options.kind,
        splits=tuple(splits),
        classes=tuple(classes),
        creator=creator,
        options=options.to_dict(),
    )
    arrays = (*small_arrays(options.kind), *coefficient_arrays(options.kind))
    write_sealed_group(store, metadata.to_dict(), tuple(splits), arrays)


def _write_coefficients_metadata(path: Path, geometry: ArrayGeometry, codec: ChunkCodec) -> None:
    """Write a coefficient array's metadata; its shards are there already."""
    native = geometry.group_axis == 1
    write_array_metadata(
        path,
        shape=geometry.shape,
        chunk=geometry.chunk,
        shard=geometry.shard,
        dtype=geometry.dtype,
        compressors=codec.zarr_compressors(geometry.dtype.itemsize),
        fill_value=NATIVE_FILL if native else FIXED_DTYPES[geometry.dtype.name],
        dimensions=("frequency", "block") if native else ("sample", "channel", "row", "column"),
    )

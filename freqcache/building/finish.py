"""The end of a build: per-sample arrays, statistics and metadata, gathered from the shards' records.

Everything but the coefficient shards is written here; the root group comes last and makes the store complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.building.arrays import write_array, write_array_metadata, write_group, write_sealed_group
from freqcache.building.form import StoreForm
from freqcache.building.plan import SplitPlan
from freqcache.building.shard import SHARD_FILES, ShardRecord
from freqcache.statistics import Accumulator
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry
from freqcache.store.content import split_digest, store_id
from freqcache.store.targets import Target
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


def write_split(store: Target, plan: SplitPlan, records: Sequence[ShardRecord], form: StoreForm) -> bytes:
    """Write everything of a split but its shards; return a digest of its content (16 bytes)."""
    samples = {name: np.concatenate([record.samples[name] for record in records]) for name in records[0].samples}
    accumulator = Accumulator(len(form.channels))
    for record in records:
        accumulator.merge(Accumulator(sums=record.statistics))
    metadata = SplitMetadata(
        slots=plan.n_slots,
        samples=int(np.count_nonzero(samples["origin"] != Origin.ABSENT)),
        statistics=accumulator.result(),
    )
    folder = store / plan.name
    folder.remove_partials()
    write_group(folder, {ATTRIBUTE: metadata.to_dict()})
    for name, geometry in plan.arrays.items():
        _write_coefficients_metadata(folder / name, geometry, form.codec)
    for name, layout in per_slot_arrays(form.kind).items():
        write_array(folder / name, samples[name], layout.dimensions)
    paths = [slot.path.encode("utf-8", "surrogateescape") for slots in plan.groups for slot in slots]
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
    if form.steps is not None:
        write_array(folder / "quantization", form.steps, FIXED_ARRAYS["quantization"].dimensions)
    folder.make_lasting(skip=[f"{name}/c" for name in plan.arrays])
    return split_digest(form.kind, samples | others)


def write_root(
    store: Target,
    splits: Mapping[str, bytes],
    classes: Sequence[str],
    form: StoreForm,
    options: Mapping[str, Any],
    creator: str,
) -> str:
    """Write the root group: from here on the store is complete. Return its id.

    Parameters
    ----------
    store : Target
        The store.
    splits : dict of str to bytes
        Each split's digest, from :func:`write_split`.
    classes : sequence of str
        Names by label.
    form : StoreForm
        What its arrays are like.
    options : dict
        Recorded in the attributes.
    creator : str
        Software and version.
    """
    metadata = StoreMetadata(
        id=store_id(form.kind, classes, form.channels.indices.tolist(), splits),
        kind=form.kind,
        splits=tuple(splits),
        classes=tuple(classes),
        creator=creator,
        options=options,
        channels=form.channels,
    )
    arrays = (*small_arrays(form.kind), *coefficient_arrays(form.kind))
    write_sealed_group(store, metadata.to_dict(), tuple(splits), arrays)
    return metadata.id


def _write_coefficients_metadata(folder: Target, geometry: ArrayGeometry, codec: ChunkCodec) -> None:
    """Write a coefficient array's metadata; its shards are there already."""
    native = geometry.group_axis == 1
    write_array_metadata(
        folder,
        shape=geometry.shape,
        chunk=geometry.chunk,
        shard=geometry.shard,
        dtype=geometry.dtype,
        compressors=codec.zarr_compressors(geometry.dtype.itemsize),
        fill_value=NATIVE_FILL if native else FIXED_DTYPES[geometry.dtype.name],
        dimensions=("frequency", "block") if native else ("sample", "channel", "row", "column"),
    )

"""The end of a build: per-sample arrays, statistics and metadata, gathered from the shards' records.

Everything but the coefficient shards is written here; the root group comes last and makes the store complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from freqcache.building.arrays import (
    CHUNK_LENGTH,
    cut,
    write_array,
    write_array_metadata,
    write_blocks,
    write_group,
    write_sealed_group,
)
from freqcache.building.form import StoreForm
from freqcache.building.gathering import Gathered
from freqcache.building.plan import SplitPlan
from freqcache.scratch import Column
from freqcache.sources.table import paths_of
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry
from freqcache.store.content import SplitDigest, digested_arrays, store_id
from freqcache.store.targets import Target
from freqcache_formats.layout import (
    ATTRIBUTE,
    FIXED_ARRAYS,
    FIXED_DTYPES,
    NATIVE_FILL,
    coefficient_arrays,
    small_arrays,
)
from freqcache_formats.metadata import SplitMetadata, StoreMetadata


def write_split(store: Target, plan: SplitPlan, gathered: Gathered, form: StoreForm) -> bytes:
    """Write everything of a split but its shards; return a digest of its content (16 bytes).

    What was gathered of the samples is given up on the way.
    """
    metadata = SplitMetadata(slots=plan.n_slots, samples=gathered.n_samples, statistics=gathered.statistics.result())
    folder = store / plan.name
    folder.remove_partials()
    write_group(folder, {ATTRIBUTE: metadata.to_dict()})
    for name, geometry in plan.arrays.items():
        _write_coefficients_metadata(folder / name, geometry, form.codec)
    columns = gathered.samples | _paths(plan, gathered.scratch)
    whole = {"row_group_start": plan.starts} | gathered.files
    layouts = small_arrays(form.kind)
    digest = SplitDigest()
    for name in digested_arrays(form.kind):
        array = columns[name] if name in columns else whole[name]
        blocks = array.blocks(CHUNK_LENGTH) if isinstance(array, Column) else cut(array)
        write_blocks(folder / name, digest.through(blocks), array.shape, array.dtype, layouts[name].dimensions)
        if isinstance(array, Column):
            array.close()
    if form.steps is not None:
        write_array(folder / "quantization", form.steps, FIXED_ARRAYS["quantization"].dimensions)
    folder.make_lasting(skip=[f"{name}/c" for name in plan.arrays])
    return digest.digest()


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


def _paths(plan: SplitPlan, scratch: Path | None) -> dict[str, Column]:
    """Return the arrays of the source files' names."""
    text, ends = Column(np.dtype(np.uint8), folder=scratch), Column(np.dtype(np.int64), folder=scratch)
    ends.append(np.zeros(1, dtype=np.int64))
    for chunk in plan.slots.chunks():
        ends.append(len(text) + np.cumsum(chunk.rows["path"], dtype=np.int64))
        text.append(np.frombuffer(b"".join(paths_of(chunk)), dtype=np.uint8))
    return {"source_path": text, "source_path_offset": ends}


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

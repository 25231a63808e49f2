"""Groups and small arrays of a store, written through zarr-python, and made durable, which it leaves to others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from freqcache.store.codecs import ChunkCodec
from freqcache.store.durable import sync_folder

_CHUNK_LENGTH: Final = 65_536


def create_group(path: Path, attributes: Mapping[str, Any]) -> Any:
    """Create a group where none is, and return it; what lies in the folder stays."""
    import zarr

    group = zarr.create_group(path, overwrite=False, attributes=dict(attributes))
    _sync_file(path / "zarr.json")
    return group


def write_array(group: Any, name: str, values: npt.NDArray[Any], dimensions: tuple[str, ...]) -> None:
    """Write a whole array that is small beside the coefficients, every chunk present, zstd with checksum."""
    chunks = (min(max(1, len(values)), _CHUNK_LENGTH), *(max(1, n) for n in values.shape[1:]))
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        compressors=ChunkCodec(name="zstd", level=3).zarr_compressors(values.dtype.itemsize),
        fill_value=0,
        dimension_names=dimensions,
        overwrite=True,
        config={"write_empty_chunks": True},
    )
    array[...] = values


def sync_folder_tree(folder: Path, *, skip: AbstractSet[Path] = frozenset()) -> None:
    """Make everything below `folder` durable but the shards, which are: zarr-python leaves that to others."""
    for path in folder.iterdir():
        if path in skip:
            continue
        if path.is_dir():
            sync_folder_tree(path, skip=skip)
        else:
            _sync_file(path)
    sync_folder(folder)


def remove_partials(folder: Path) -> None:
    """Remove the temporary files of a run that was killed while it wrote."""
    for leftover in folder.rglob("*.partial"):
        leftover.unlink()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

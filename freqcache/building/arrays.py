"""Groups and arrays of a store as files: their ``zarr.json``, and the chunks of arrays that are small.

Written here rather than through zarr-python, so that the same input gives the same bytes whatever release of it is
installed, and a build needs not load it. Source: Zarr v3 core specification, and its codecs ``bytes``,
``sharding_indexed``, ``crc32c``. Only groups last at once; for arrays, see
:meth:`freqcache.store.targets.Target.make_lasting`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.store.arrays import chunk_key
from freqcache.store.codecs import ChunkCodec
from freqcache.store.targets import Target
from freqcache_formats.canonical import METADATA_DIGEST, ROOT_DOCUMENT, metadata_digest
from freqcache_formats.layout import ATTRIBUTE

CHUNK_LENGTH: Final = 65_536
"""Rows in a chunk of an array that is small beside the coefficients."""

_CHECKSUM: Final = {"name": "crc32c"}
Codec = Mapping[str, Any]


def write_group(folder: Target, attributes: Mapping[str, Any]) -> None:
    """Write a group's ``zarr.json``, which lasts; what else lies in the folder stays as it is."""
    folder.write(ROOT_DOCUMENT, _encoded(_group_document(attributes)))


def write_sealed_group(
    folder: Target, attributes: Mapping[str, Any], groups: Sequence[str], arrays: Sequence[str]
) -> None:
    """Write the group of a store, or of a hot copy, with the digest of all its metadata among its attributes.

    Parameters
    ----------
    folder : Target
        The group's.
    attributes : dict
        This format's, without a digest.
    groups, arrays : sequence of str
        Names of the groups inside, and of the arrays that each may have: those that are there count.
    """
    documents: dict[str, Any] = {ROOT_DOCUMENT: _group_document({ATTRIBUTE: attributes})}
    for group in groups:
        there = (folder / group).names()
        for key in (
            f"{group}/{ROOT_DOCUMENT}",
            *(f"{group}/{name}/{ROOT_DOCUMENT}" for name in arrays if name in there),
        ):
            documents[key] = json.loads(folder.read(key))
    sealed = {**attributes, METADATA_DIGEST: metadata_digest(documents)}
    write_group(folder, {ATTRIBUTE: sealed})


def write_array_metadata(
    folder: Target,
    *,
    shape: Sequence[int],
    chunk: Sequence[int],
    dtype: np.dtype[Any],
    fill_value: int,
    dimensions: Sequence[str],
    compressors: Sequence[Codec] = (),
    shard: Sequence[int] | None = None,
) -> None:
    """Write an array's ``zarr.json``.

    Parameters
    ----------
    folder : Target
        The array's.
    shape, chunk : sequence of int
        Of the array, and of a chunk (of an inner chunk where there are shards).
    dtype : numpy dtype
        Of the elements.
    fill_value : int
        What a missing chunk would stand for.
    dimensions : sequence of str
        Names of the axes.
    compressors : sequence of codec objects
        What follows the ``bytes`` codec.
    shard : sequence of int, optional
        Of a shard; none by default.
    """
    codecs = [_bytes_codec(dtype.itemsize), *compressors]
    if shard is not None:
        sharding = {
            "chunk_shape": list(chunk),
            "codecs": codecs,
            "index_codecs": [_bytes_codec(8), _CHECKSUM],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    document = {
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk if shard is None else shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value,
        "codecs": codecs,
        "attributes": {},
        "dimension_names": list(dimensions),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    folder.write(ROOT_DOCUMENT, _encoded(document), lasting=False)


def write_array(folder: Target, values: npt.NDArray[Any], dimensions: Sequence[str]) -> None:
    """Write a whole array that is small beside the coefficients: chunks along its first axis, zstd and CRC-32C."""
    write_blocks(folder, cut(values), values.shape, values.dtype, dimensions)


def write_blocks(
    folder: Target,
    blocks: Iterable[npt.NDArray[Any]],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    dimensions: Sequence[str],
) -> None:
    """Write what :func:`write_array` writes of an array that is not in memory.

    Parameters
    ----------
    folder : Target
        The array's.
    blocks : iterable of array
        The array, cut along its first axis: :data:`CHUNK_LENGTH` rows each, fewer in the last.
    shape : sequence of int
        Of the whole array.
    dtype : numpy dtype
        Of its elements.
    dimensions : sequence of str
        Names of the axes.

    Raises
    ------
    ValueError
        If the blocks are not those of such an array.
    """
    codec = ChunkCodec(name="zstd", level=3)
    chunk = (min(max(1, shape[0]), CHUNK_LENGTH), *(max(1, n) for n in shape[1:]))
    write_array_metadata(
        folder,
        shape=shape,
        chunk=chunk,
        dtype=dtype,
        fill_value=0,
        dimensions=dimensions,
        compressors=codec.zarr_compressors(dtype.itemsize),
    )
    left = shape[0]
    for number, block in enumerate(blocks):
        if len(block) != min(left, chunk[0]):
            msg = f"a block of {len(block)} rows where {min(left, chunk[0])} are due"
            raise ValueError(msg)
        left -= len(block)
        part = np.zeros(chunk, dtype=dtype)
        part[: len(block)] = block
        folder.write(chunk_key(number, len(chunk)), codec.encode(part), lasting=False)
    if left:
        msg = f"{left} rows are missing"
        raise ValueError(msg)


def cut(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array in the blocks that :func:`write_blocks` takes."""
    for start in range(0, len(values), CHUNK_LENGTH):
        yield values[start : start + CHUNK_LENGTH]


def _group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def _bytes_codec(itemsize: int) -> Codec:
    return {"name": "bytes", "configuration": {"endian": "little"}} if itemsize > 1 else {"name": "bytes"}


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()

"""Shard files and chunk codecs: what zarr-python reads of them, and that damage is never passed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.errors import StoreError
from freqcache.store.codecs import ChunkCodec
from freqcache.store.columns import ArrayGeometry, ChunkReader
from freqcache.store.encoding import ChunkEncoder
from freqcache.store.places import LocalFile, LocalPlace
from freqcache.store.shards import ShardFile, ShardIdentity, ShardWriter
from freqcache.store.targets import LocalTarget

CODECS = {"int16": ChunkCodec(name="blosc"), "int8": ChunkCodec(name="zstd")}


def write_array(folder: Path, dtype: str, values: np.ndarray) -> tuple[ArrayGeometry, list[ShardIdentity]]:
    """Write (4, n) values as a native-like array with chunks (1, 10) and two row groups a shard."""
    codec = CODECS[dtype]
    geometry = ArrayGeometry(shape=values.shape, chunk=(1, 10), shard=(4, 20), dtype=np.dtype(dtype), group_axis=1)
    zarr.create_array(
        folder,
        shape=geometry.shape,
        dtype=dtype,
        chunks=geometry.chunk,
        shards=geometry.shard,
        compressors=codec.zarr_compressors(geometry.dtype.itemsize),
        fill_value=-1,
    )
    identities = []
    for shard in range(geometry.n_shards):
        writer = ShardWriter(LocalTarget(folder).create(geometry.shard_key(shard)), geometry.chunks_per_shard)
        for group in range(min(2, geometry.n_groups - 2 * shard)):
            start = (2 * shard + group) * 10
            chunks = np.ascontiguousarray(values[:, start : start + 10])
            writer.append(geometry.inner_index(group, np.arange(4)), *ChunkEncoder(codec).encode(chunks))
        identities.append(writer.finish())
    return geometry, identities


def append(writer: ShardWriter, chunk: int) -> None:
    writer.append(np.array([chunk]), np.frombuffer(b"abcd", dtype=np.uint8), np.array([4]))


def read_all(reader: ChunkReader) -> None:
    for group in range(reader.geometry.n_groups):
        for channel in range(reader.geometry.n_channels):
            reader.read(group, channel)


@pytest.fixture(params=["int8", "int16"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray, list[ShardIdentity]]:
    rng = np.random.default_rng(5)
    values = rng.integers(-100, 100, (4, 50)).astype(request.param)
    _, identities = write_array(tmp_path / "a", request.param, values)
    return tmp_path / "a", values, identities


def test_zarr_reads_what_we_write(array: tuple[Path, np.ndarray, list[ShardIdentity]]) -> None:
    path, values, _ = array
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], values)


def test_we_read_what_zarr_writes(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-1000, 1000, (4, 40)).astype(np.int16)
    array = zarr.create_array(
        tmp_path / "z",
        shape=(4, 40),
        dtype="int16",
        chunks=(1, 10),
        shards=(4, 20),
        compressors=CODECS["int16"].zarr_compressors(2),
        fill_value=-1,
    )
    array[...] = values
    reader = ChunkReader(LocalPlace(tmp_path / "z"), [None, None])
    for group in range(4):
        for channel in range(4):
            np.testing.assert_array_equal(reader.read(group, channel)[0], values[channel, group * 10 :][:10])


def test_chunks_come_back(array: tuple[Path, np.ndarray, list[ShardIdentity]]) -> None:
    path, values, identities = array
    reader = ChunkReader(LocalPlace(path), identities)
    read = np.concatenate([[reader.read(g, c)[0] for c in range(4)] for g in range(5)], axis=1)
    np.testing.assert_array_equal(read, values)


def test_stored_bytes_are_the_files_less_their_indexes(array: tuple[Path, np.ndarray, list[ShardIdentity]]) -> None:
    path, _, identities = array
    reader = ChunkReader(LocalPlace(path), identities)
    files = [file for file in path.rglob("c/*/*") if file.is_file()]
    expected = sum(file.stat().st_size - (16 + 16 * 8 + 4) for file in files)
    assert reader.channel_bytes().sum() == expected
    assert sum(reader.channel_bytes()[c] for c in range(4)) == expected


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_no_flipped_bit_passes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Every single-bit change to a shard is found by reading the chunk that it hit, or the index."""
    dtype = data.draw(st.sampled_from(["int8", "int16"]))
    folder = tmp_path_factory.mktemp("flip") / "a"
    values = np.random.default_rng(2).integers(-100, 100, (4, 20)).astype(dtype)
    geometry, identities = write_array(folder, dtype, values)
    shard = folder / geometry.shard_key(0)
    content = bytearray(shard.read_bytes())
    position = data.draw(st.integers(0, len(content) * 8 - 1))
    content[position // 8] ^= 1 << position % 8
    shard.write_bytes(content)
    reader = ChunkReader(LocalPlace(folder), identities)
    with pytest.raises(StoreError, match=r"shard|chunk"):
        read_all(reader)


def test_missing_and_short_shards_are_named(array: tuple[Path, np.ndarray, list[ShardIdentity]]) -> None:
    path, _, identities = array
    shard = path / "c/0/1"
    content = shard.read_bytes()
    shard.write_bytes(content[:50])
    with pytest.raises(StoreError, match=r"c/0/1: shard has 50 bytes"):
        ChunkReader(LocalPlace(path), identities).read(2, 0)
    shard.unlink()
    with pytest.raises(StoreError, match=r"c/0/1: cannot be opened: No such file"):
        ChunkReader(LocalPlace(path), identities).read(2, 0)


def test_a_missing_chunk_is_no_fill_value(tmp_path: Path) -> None:
    writer = ShardWriter(LocalTarget(tmp_path).create("shard"), 2)
    append(writer, 1)
    writer.finish()
    shard = ShardFile(LocalFile(tmp_path / "shard"), 2)
    stored, starts, lengths = shard.read(np.array([1]))
    assert stored[starts[0] : starts[0] + lengths[0]].tobytes() == b"abcd"
    with pytest.raises(StoreError, match="chunk 0 is missing"):
        shard.read(np.array([1, 0]))


def test_nothing_stands_in_place_before_the_end(tmp_path: Path) -> None:
    writer = ShardWriter(LocalTarget(tmp_path).create("shard"), 1)
    append(writer, 0)
    assert not (tmp_path / "shard").exists()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "bytes"}],
        [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
        [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
    ],
)
def test_unchecked_codecs_are_refused(codecs: list[dict[str, object]]) -> None:
    with pytest.raises(StoreError, match="codec chain"):
        ChunkCodec.from_zarr(codecs)

"""The compiled codecs against numcodecs: the same bytes written, the same values read, nothing read past its end."""

from __future__ import annotations

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import freqcache.store.decoding
import freqcache.store.encoding
from freqcache.compiled import kernel
from freqcache.store.bitshuffle import shuffle, unshuffle
from freqcache.store.codecs import BLOSC_BLOCK, ChunkCodec
from freqcache.store.decoding import ChunkError, decode_chunks
from freqcache.store.encoding import ChunkEncoder
from freqcache.store.libraries import Context, functions

LENGTHS = [1, 7, 8, 15, 16, 63, 64, 72, 100, 248, 256, 264, 1000, 4096, 40_000, 65_536, 65_544, 70_001, 200_000]
WHOLE = {"blosc": np.dtype("<i2"), "zstd": np.dtype("i1")}


def coefficients(n: int, kind: str, seed: int = 0) -> npt.NDArray[np.int16]:
    """Return values as they occur, or as they never do."""
    rng = np.random.default_rng([seed, n])
    made = {
        "few": lambda: rng.integers(-3, 4, n),
        "many": lambda: rng.normal(0, 20, n).round(),
        "any": lambda: rng.integers(-32768, 32768, n),
        "fill": lambda: np.full(n, -32768),
    }
    return made[kind]().astype(np.int16)


def encoded(codec: ChunkCodec, chunks: npt.NDArray[np.int16] | npt.NDArray[np.int8]) -> list[bytes]:
    """Return the stored bytes of each chunk."""
    stored, lengths = ChunkEncoder(codec).encode(chunks)
    return [part.tobytes() for part in np.split(stored, np.cumsum(lengths)[:-1])]


@pytest.fixture(params=["compiled", "general"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways that a chunk can take: C functions in kernels, and the packages' Python functions."""
    if request.param == "general":
        monkeypatch.setattr(freqcache.store.decoding, "functions", lambda: None)
        monkeypatch.setattr(freqcache.store.encoding, "functions", lambda: None)
    else:
        assert functions() is not None
    return str(request.param)


def decode(codec: ChunkCodec, stored: list[bytes], n: int) -> npt.NDArray[np.int16] | npt.NDArray[np.int8]:
    """Decode whole chunks of `n` elements."""
    dtype = WHOLE[codec.name]
    lengths = np.array([len(chunk) for chunk in stored], dtype=np.int64)
    size = n * dtype.itemsize
    out = np.zeros((len(stored), n), dtype=dtype)
    octets = np.frombuffer(b"".join(stored), dtype=np.uint8)
    spans = np.array([[0, size, 0, size]], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    decode_chunks(codec, dtype, size, octets, starts, lengths, spans, out.reshape(-1).view(np.uint8))
    return out


def test_bit_shuffle_is_planes_of_bits() -> None:
    @kernel
    def there_and_back(
        values: npt.NDArray[np.uint8], planes: npt.NDArray[np.uint8], again: npt.NDArray[np.uint8]
    ) -> None:
        shuffle(values, 4, (len(values) - 4) // 2, planes)
        unshuffle(planes, (len(values) - 4) // 2, again, 4)

    for n in (8, 16, 248, 256, 264, 1000, 4096):
        values = coefficients(n, "any")
        octets = np.concatenate([np.zeros(4, np.uint8), values.view(np.uint8)])
        planes, again = np.zeros(2 * n, dtype=np.uint8), np.zeros_like(octets)
        there_and_back(octets, planes, again)
        bits = np.unpackbits(values.astype("<i2").view(np.uint8).reshape(n, 2), axis=1, bitorder="little")
        np.testing.assert_array_equal(planes, np.packbits(bits.T, axis=1, bitorder="little").reshape(-1))
        np.testing.assert_array_equal(again, octets)


@pytest.mark.parametrize("kind", ["few", "many", "any", "fill"])
@pytest.mark.parametrize("n", LENGTHS)
def test_blosc_frames_are_c_bloscs(n: int, kind: str, way: str) -> None:
    codec = ChunkCodec(name="blosc")
    chunks = np.stack([coefficients(n, kind, seed) for seed in range(2)])
    stored = encoded(codec, chunks)
    for chunk, found in zip(chunks, stored, strict=True):
        frame = bytes(numcodecs.blosc.compress(chunk, b"zstd", 1, 2, BLOSC_BLOCK, 2))
        assert found == frame + google_crc32c.value(frame).to_bytes(4, "little")
    np.testing.assert_array_equal(decode(codec, stored, n), chunks)


@pytest.mark.parametrize("level", range(1, 10))
def test_levels_are_those_of_the_libraries(level: int) -> None:
    chunks = coefficients(20_000, "many")[None]
    (blosc,) = encoded(ChunkCodec(name="blosc", level=level), chunks)
    assert blosc == ChunkCodec(name="blosc", level=level).encode(chunks[0])
    (zstd,) = encoded(ChunkCodec(name="zstd", level=level), chunks.astype(np.int8))
    frame = numcodecs.zstd.compress(chunks[0].astype(np.int8), level, True)
    assert zstd[:-4] == bytes(frame)


@pytest.mark.parametrize("n", [1, 16, 3136, 50_176])
def test_zstd_frames_are_numcodecs(n: int, way: str) -> None:
    codec = ChunkCodec(name="zstd")
    chunks = np.stack([coefficients(n, "few", seed).astype(np.int8) for seed in range(3)])
    stored = encoded(codec, chunks)
    assert [chunk[:-4] for chunk in stored] == [bytes(numcodecs.zstd.compress(chunk, 1, True)) for chunk in chunks]
    np.testing.assert_array_equal(decode(codec, stored, n), chunks)


@pytest.mark.parametrize(
    "options",
    [(b"zstd", 2, 512), (b"zstd", 2, 65_536), (b"zstd", 1, 0), (b"zstd", 0, 0), (b"lz4", 2, 0), (b"blosclz", 1, 0)],
    ids=str,
)
def test_blosc_frames_of_other_writers_are_read(options: tuple[bytes, int, int]) -> None:
    values = coefficients(70_000, "many")
    name, filters, block = options
    frame = bytes(numcodecs.blosc.compress(values, name, 5, filters, block, 2))
    stored = frame + google_crc32c.value(frame).to_bytes(4, "little")
    np.testing.assert_array_equal(decode(ChunkCodec(name="blosc"), [stored], len(values))[0], values)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_parts_of_chunks_are_slices(data: st.DataObject) -> None:
    """Only the blocks that are wanted are decoded; the parts are those of the whole chunk."""
    values = coefficients(5000, "many")
    frame = bytes(numcodecs.blosc.compress(values, b"zstd", 1, 2, 1024, 2))
    stored = np.frombuffer(frame + google_crc32c.value(frame).to_bytes(4, "little"), dtype=np.uint8)
    parts = data.draw(st.lists(st.tuples(st.integers(0, 4999), st.integers(0, 700)), min_size=1, max_size=4))
    parts = [(first, min(count, 5000 - first)) for first, count in parts]
    out = np.zeros(sum(count for _, count in parts), dtype=np.int16)
    places = np.cumsum([0, *(count for _, count in parts)])[:-1]
    spans = 2 * np.array([(first, n, place, 0) for (first, n), place in zip(parts, places, strict=True)])
    decode_chunks(
        ChunkCodec(name="blosc"),
        np.dtype("<i2"),
        10_000,
        stored,
        np.array([0]),
        np.array([len(stored)]),
        spans,
        out.view(np.uint8),
    )
    np.testing.assert_array_equal(out, np.concatenate([values[first : first + count] for first, count in parts]))


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_broken_frames_with_good_checksums_are_refused_or_read(data: st.DataObject) -> None:
    """What a checksum vouches for can still be no frame: it raises, or decodes as c-blosc does; it never crashes."""
    name = data.draw(st.sampled_from(["blosc", "zstd"]))
    values = coefficients(3000, "few").astype(WHOLE[name])
    codec = ChunkCodec(name=name)
    # Without zstd's own checksum, which the kernel leaves alone where CRC-32C has vouched for the frame.
    plain = numcodecs.zstd.compress(values, 1, False) if name == "zstd" else codec.encode(values)[:-4]
    frame = bytearray(plain)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(frame), data.draw(st.sampled_from([24, 10_000]))) - 1))
        frame[position] = data.draw(st.integers(0, 255))
    frame = frame[: data.draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))]
    stored = bytes(frame) + google_crc32c.value(bytes(frame)).to_bytes(4, "little")
    try:
        found = decode(codec, [stored], len(values))
    except ChunkError:
        return
    again = np.empty_like(values)
    codec.decode_into(stored, again)
    np.testing.assert_array_equal(found[0], again)


@pytest.mark.parametrize("level", [None, 1])
def test_a_context_is_not_freed_under_a_daemon_thread_at_exit(level: int | None) -> None:
    library = functions()
    assert library is not None
    assert not Context(library, level=level)._release.atexit


def test_the_damaged_chunk_is_named_and_the_others_are_not_lost(way: str) -> None:
    codec = ChunkCodec(name="blosc")
    chunks = np.stack([coefficients(500, "many", seed) for seed in range(4)])
    stored = encoded(codec, chunks)
    stored[2] = stored[2][:30] + bytes([stored[2][30] ^ 1]) + stored[2][31:]
    with pytest.raises(ChunkError, match="CRC-32C does not match") as caught:
        decode(codec, stored, 500)
    assert caught.value.number == 2
    with pytest.raises(ChunkError, match="CRC-32C does not match"):
        decode(codec, [b"abc"], 500)


def test_spans_outside_are_refused() -> None:
    codec = ChunkCodec(name="zstd")
    stored = np.frombuffer(codec.encode(np.zeros(100, np.int8)), dtype=np.uint8)
    for span in ([90, 20, 0, 0], [0, 100, 1, 0], [-1, 5, 0, 0], [0, 5, -1, 0]):
        with pytest.raises(ValueError, match="spans leave"):
            decode_chunks(
                codec,
                np.dtype("i1"),
                100,
                stored,
                np.array([0]),
                np.array([len(stored)]),
                np.array([span]),
                np.zeros(100, dtype=np.uint8),
            )

"""Legal files that ordinary encoders do not write: the coefficients that went in come out, as libjpeg-turbo says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.errors import CorruptImageError
from freqcache.jpeg import read_coefficients, read_header
from tests.jpeg.encoder import ScanSpec, encode, flat_table, quantization_table, random_components
from tests.jpeg.oracles import assert_same, libjpeg_oracle

GRAY = [(1, 1)]
SAMPLINGS = [
    GRAY,
    [(2, 2)],
    [(1, 1)] * 3,
    [(2, 1)] * 3,
    [(4, 1), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(1, 1), (2, 2), (1, 2)],
    [(3, 2), (2, 1), (1, 1)],
    [(2, 3), (1, 1), (1, 3)],
    [(2, 2), (1, 1), (1, 1), (2, 2)],
]
ONE_BY_ONE = "one by one"


def assert_round_trip(data, components, *, warnings=()):
    image = read_coefficients(data)
    assert image.warnings == warnings
    for ours, original in zip(image.components, components, strict=True):
        np.testing.assert_array_equal(ours.coefficients, original.coefficients)
    oracle = libjpeg_oracle()
    if not isinstance(oracle, str):
        reading = oracle.read(data)
        assert reading.warnings == 0, reading.message
        assert_same(image, reading, "round trip")
    return image


def progressive_script(count: int, restart: int) -> list[ScanSpec]:
    everything = tuple(range(count))
    scans = [ScanSpec(components=everything, end=0, low=1, restart=restart)]
    for i in everything:
        scans += [
            ScanSpec(components=(i,), start=1, end=5, low=2, restart=restart),
            ScanSpec(components=(i,), start=6, end=63, low=2),
            ScanSpec(components=(i,), start=1, end=63, high=2, low=1, restart=restart),
            ScanSpec(components=(i,), start=1, end=63, high=1, low=0),
        ]
    return [*scans, ScanSpec(components=everything, end=0, high=1, low=0, restart=restart)]


@pytest.mark.parametrize("restart", [0, 2])
@pytest.mark.parametrize("ac_bits", [8, 9, 12, 16])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_sampling_layouts_sequential(sampling, ac_bits, restart):
    rng = np.random.default_rng(7)
    components = random_components(rng, 75, 43, sampling)
    scans = [ScanSpec(components=tuple(range(len(sampling))), restart=restart)]
    assert_round_trip(encode(components, 75, 43, scans, ac_bits=ac_bits, dc_bits=ac_bits - 4), components)


@pytest.mark.parametrize("restart", [0, 3])
@pytest.mark.parametrize("frame", [0xC0, 0xC1])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_a_scan_for_each_component(sampling, frame, restart):
    components = random_components(np.random.default_rng(8), 61, 50, sampling)
    scans = [ScanSpec(components=(i,), restart=restart) for i in range(len(sampling))]
    assert_round_trip(encode(components, 61, 50, scans, frame=frame), components)


def test_scans_of_some_components():
    components = random_components(np.random.default_rng(9), 61, 50, [(2, 2), (1, 1), (1, 2)])
    scans = [ScanSpec(components=(0,)), ScanSpec(components=(1, 2), restart=1)]
    assert_round_trip(encode(components, 61, 50, scans), components)


@pytest.mark.parametrize("restart", [0, 4])
@pytest.mark.parametrize("ac_bits", [8, 11, 16])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_sampling_layouts_progressive(sampling, ac_bits, restart):
    components = random_components(np.random.default_rng(10), 75, 43, sampling)
    data = encode(components, 75, 43, progressive_script(len(sampling), restart), frame=0xC2, ac_bits=ac_bits)
    assert assert_round_trip(data, components).progressive


def test_long_runs_of_empty_bands():
    """More blocks than one end-of-band run can hold (32,767)."""
    components = random_components(np.random.default_rng(11), 8 * 200, 8 * 200, GRAY)
    components[0].coefficients[1:] = 0
    components[0].coefficients[3, -1, -1] = -5
    data = encode(components, 8 * 200, 8 * 200, progressive_script(1, 0), frame=0xC2)
    assert_round_trip(data, components)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    sampling=st.sampled_from(SAMPLINGS),
    restart=st.integers(0, 5),
    progressive=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_encoded_comes_out(width, height, sampling, restart, progressive, seed):
    components = random_components(np.random.default_rng(seed), width, height, sampling)
    everything = tuple(range(len(sampling)))
    scans = [ScanSpec(components=everything, restart=restart)]
    if progressive:
        scans = progressive_script(len(sampling), restart)
    assert_round_trip(encode(components, width, height, scans, frame=0xC2 if progressive else 0xC0), components)


@pytest.mark.parametrize("frame", [0xC0, 0xC2])
def test_number_of_lines_after_the_first_scan(frame):
    """T.81 B.2.5; libjpeg-turbo does not read such files."""
    components = random_components(np.random.default_rng(12), 40, 29, [(2, 2), (1, 1), (1, 1)])
    scans = [ScanSpec(components=(0, 1, 2))] if frame == 0xC0 else progressive_script(3, 0)
    lines = b"\xff\xdc\x00\x04\x00\x1d"
    data = encode(components, 40, 29, scans, frame=frame, header_height=0, after_first_scan=lines)
    image = read_coefficients(data)
    assert (image.height, image.warnings) == (29, ())
    for ours, original in zip(image.components, components, strict=True):
        np.testing.assert_array_equal(ours.coefficients, original.coefficients)
    assert read_header(data).height == 29


def test_no_height_anywhere():
    components = random_components(np.random.default_rng(12), 40, 29, GRAY)
    data = encode(components, 40, 29, [ScanSpec(components=(0,))], header_height=0)
    for read in (read_coefficients, read_header):
        with pytest.raises(CorruptImageError, match="0 pixels high"):
            read(data)


def test_standard_tables_where_there_are_none(jpeg, oracle):
    """Motion-JPEG leaves out the tables of annex K.3, with which Pillow codes unless told to optimize."""
    data = jpeg(100, 60, quality=80)
    expected = read_coefficients(data)
    start = data.index(b"\xff\xc4")
    while data[start : start + 2] == b"\xff\xc4":
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    assert b"\xff\xc4" not in data[: data.index(b"\xff\xda")]
    image = read_coefficients(data)
    assert image.warnings == ()
    assert_same(image, oracle.read(data), "MJPEG")
    np.testing.assert_array_equal(image.components[0].coefficients, expected.components[0].coefficients)


def test_progressive_needs_its_tables():
    components = random_components(np.random.default_rng(13), 16, 16, GRAY)
    data = encode(components, 16, 16, progressive_script(1, 0), frame=0xC2, with_huffman=False)
    with pytest.raises(CorruptImageError, match="Huffman table that is not defined"):
        read_coefficients(data)


def test_wide_quantization_tables():
    values = (np.arange(64, dtype=np.uint16) * 1000 + 1).astype(np.uint16)
    components = random_components(np.random.default_rng(14), 24, 24, GRAY)
    tables = quantization_table(0, values, wide=True)
    data = encode(components, 24, 24, [ScanSpec(components=(0,))], frame=0xC1, tables=tables)
    image = assert_round_trip(data, components)
    np.testing.assert_array_equal(image.components[0].quantization, values)


def test_table_in_force_at_the_first_scan_counts():
    """Redefined between the scans of two components: each keeps the one that its own scan began with."""
    first, second, third = (np.full(64, n, np.uint16) for n in (3, 5, 7))
    components = random_components(np.random.default_rng(15), 24, 24, [(1, 1)] * 3)
    scans = [
        ScanSpec(components=(0,)),
        ScanSpec(components=(1,), before=quantization_table(0, second) + flat_table(1, 0, 9)),
        ScanSpec(components=(2,), before=quantization_table(0, third)),
    ]
    data = encode(components, 24, 24, scans, tables=quantization_table(0, first))
    image = assert_round_trip(data, components)
    assert [c.quantization[0] for c in image.components] == [3, 5, 7]


def test_huffman_tables_redefined_between_scans():
    components = random_components(np.random.default_rng(16), 24, 24, [(1, 1)] * 3)
    plain = encode(components, 24, 24, [ScanSpec(components=(0, 1, 2))])
    long = encode(components, 24, 24, [ScanSpec(components=(0, 1, 2))], dc_bits=14, ac_bits=15)
    assert plain != long
    assert_round_trip(plain, components)
    assert_round_trip(long, components)


@pytest.mark.parametrize("trailing", [b"\x00", b"\xff\xd8\xff\xd9", b"anything at all" * 100])
def test_bytes_after_the_end_are_not_corruption(jpeg, trailing):
    data = jpeg()
    image = read_coefficients(data + trailing)
    assert image.warnings == ()
    np.testing.assert_array_equal(image.components[0].coefficients, read_coefficients(data).components[0].coefficients)


def test_first_image_of_several(jpeg):
    """As in MPO files."""
    first, second = jpeg(40, 40, seed=1), jpeg(64, 64, seed=2)
    image = read_coefficients(first + second)
    assert (image.width, image.warnings) == (40, ())


def test_fill_bytes_before_markers(jpeg, oracle):
    data = jpeg(64, 48, restart_marker_blocks=3)
    for code in (0xDB, 0xC4, 0xD0, 0xD1, 0xD9):
        data = data.replace(bytes([0xFF, code]), bytes([0xFF, 0xFF, 0xFF, code]))
    image = read_coefficients(data)
    assert image.warnings == ()
    assert_same(image, oracle.read(data), "fill bytes")


def test_restart_marker_after_the_last_segment(jpeg):
    data = jpeg(64, 48, restart_marker_blocks=4)
    image = read_coefficients(data[:-2] + b"\xff\xd2" + data[-2:])
    assert image.warnings == ()


def test_components_with_the_same_identifier(oracle):
    """Some cameras do so; they are told apart by their order."""
    components = random_components(np.random.default_rng(17), 24, 24, [(1, 1)] * 3)
    data = bytearray(encode(components, 24, 24, [ScanSpec(components=(0, 1, 2))]))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i in range(3):
        data[frame + 10 + 3 * i] = 0
        data[scan + 5 + 2 * i] = 0
    assert_same(read_coefficients(bytes(data)), oracle.read(bytes(data)), "identifiers")

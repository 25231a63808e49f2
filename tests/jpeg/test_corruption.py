"""Damaged files: the rest is still returned, and never without a warning."""

from __future__ import annotations

import numpy as np
import pytest

from freqcache.errors import CorruptImageError
from freqcache.jpeg import read_coefficients
from tests.jpeg.encoder import ScanSpec, encode, flat_table, random_components, segment
from tests.jpeg.oracles import assert_same

OPTIONS = [
    {"subsampling": "4:2:0", "quality": 90},
    {"subsampling": "4:4:4", "quality": 95, "progressive": True},
    {"subsampling": "4:2:0", "quality": 90, "restart_marker_blocks": 2},
]


def warnings_of(data):
    return " / ".join(read_coefficients(data).warnings)


def scan_start(data):
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_truncation_is_noticed(jpeg, options):
    data = jpeg(45, 38, **options)
    image = read_coefficients(data)
    assert image.warnings == ()
    for end in range(scan_start(data), len(data)):
        short = read_coefficients(data[:end])
        assert short.warnings, end
        assert [c.coefficients.shape for c in short.components] == [c.coefficients.shape for c in image.components]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_truncation_before_the_end_marker_is_noticed(jpeg, options):
    """Even where the end-of-image marker was put back."""
    data = jpeg(45, 38, **options)
    # A progressive file without its last bits is legal: cut into its first scan.
    last = data.index(b"\xff\xc4", scan_start(data)) if options.get("progressive") else len(data) - 2
    for end in range(scan_start(data), last - 1):
        if data[end - 1] != 0xFF:
            assert read_coefficients(data[:end] + b"\xff\xd9").warnings, end


def test_what_comes_before_the_damage_is_kept(jpeg):
    data = jpeg(160, 160, subsampling="4:4:4", quality=90)
    whole = read_coefficients(data)
    half = read_coefficients(data[: (scan_start(data) + len(data)) // 2])
    for ours, theirs in zip(half.components, whole.components, strict=True):
        rows = 5
        np.testing.assert_array_equal(ours.coefficients[:, :rows], theirs.coefficients[:, :rows])
        assert not ours.coefficients[:, -2:].any()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_libjpeg_turbo_never_warns_alone(oracle, jpeg, options):
    """Whatever libjpeg-turbo complains of after a flipped byte, we do too."""
    rng = np.random.default_rng(5)
    data = jpeg(60, 60, **options)
    start = scan_start(data)
    complaints = 0
    for _ in range(300):
        broken = bytearray(data)
        at = int(rng.integers(start, len(data) - 2))
        broken[at] ^= int(rng.integers(1, 256))
        reading = oracle.read(bytes(broken))
        if reading.warnings == 0:
            continue
        complaints += 1
        try:
            warnings = read_coefficients(bytes(broken)).warnings
        except CorruptImageError:
            continue
        assert warnings, (at, broken[at], reading.message)
    assert complaints > 50


def gray(*, ac_bits=9, restart=0, width=64):
    components = random_components(np.random.default_rng(3), width, 32, [(1, 1)])
    return encode(components, width, 32, [ScanSpec(components=(0,), restart=restart)], ac_bits=ac_bits), components


@pytest.mark.parametrize("ac_bits", [9, 16])
def test_codes_that_do_not_exist(ac_bits):
    data, _ = gray(ac_bits=ac_bits)
    start = scan_start(data)
    assert "no Huffman table" in warnings_of(data[: start + 9] + b"\xff\x00" * 4 + data[start + 17 :])


def test_left_over_data():
    data, components = gray()
    image = read_coefficients(data[:-2] + bytes(10) + data[-2:])
    assert "left over" in " ".join(image.warnings)
    np.testing.assert_array_equal(image.components[0].coefficients, components[0].coefficients)


def test_too_many_coefficients_in_a_block():
    data, _ = gray()
    # Runs of 16 zeros: 0xF0 in 9 bits, five times.
    runs = int("0" * 5 + "011110000" * 5 + "1" * 6, 2).to_bytes(7, "big")
    assert "more coefficients" in warnings_of(data[: scan_start(data)] + runs + data[scan_start(data) :])


@pytest.mark.parametrize("size", [11, 15])
def test_coefficients_out_of_range(size):
    data, _ = gray(width=8)
    value = "00000" + f"{size:09b}" + "1" * size
    value += "1" * (-len(value) % 8)
    body = int(value, 2).to_bytes(len(value) // 8, "big").replace(b"\xff", b"\xff\x00")
    assert "out of the range" in warnings_of(data[: scan_start(data)] + body + data[scan_start(data) :])


def test_dc_that_runs_away():
    """Differences of 2047 in each block add up."""
    components = random_components(np.random.default_rng(3), 64, 8, [(1, 1)])
    components[0].coefficients[0] = np.arange(8) * 2047 + 2000
    data = encode(components, 64, 8, [ScanSpec(components=(0,))])
    assert "out of the range" in warnings_of(data)


def segments_of(data):
    """The parts of a scan between restart markers."""
    start = scan_start(data)
    parts, at = [], start
    while True:
        mark = data.index(b"\xff", at)
        if data[mark + 1] == 0:
            at = mark + 2
            continue
        parts.append(data[start:mark])
        if not 0xD0 <= data[mark + 1] <= 0xD7:
            return data[: scan_start(data)], parts, data[mark:]
        start = at = mark + 2


def joined(head, parts, tail, numbers=None):
    numbers = range(len(parts) - 1) if numbers is None else numbers
    body = parts[0]
    for number, part in zip(numbers, parts[1:], strict=True):
        body += bytes([0xFF, 0xD0 + number % 8]) + part
    return head + body + tail


def test_a_lost_segment_leaves_zeros_and_the_rest():
    data, components = gray(restart=4)
    head, parts, tail = segments_of(data)
    assert joined(head, parts, tail) == data
    del parts[3]
    image = read_coefficients(joined(head, parts, tail, [0, 1, 3, 4, 5, 6]))
    assert "restart" in " ".join(image.warnings)
    expected = components[0].coefficients.copy().reshape(64, -1)
    expected[:, 12:16] = 0
    np.testing.assert_array_equal(image.components[0].coefficients.reshape(64, -1), expected)


def test_a_doubled_segment_is_dropped():
    data, components = gray(restart=4)
    head, parts, tail = segments_of(data)
    parts.insert(3, parts[2])
    image = read_coefficients(joined(head, parts, tail, [0, 1, 1, 2, 3, 4, 5, 6]))
    assert "restart" in " ".join(image.warnings)
    np.testing.assert_array_equal(image.components[0].coefficients, components[0].coefficients)


def test_a_wrong_number_is_taken_for_the_right_one():
    data, components = gray(restart=4)
    head, parts, tail = segments_of(data)
    image = read_coefficients(joined(head, parts, tail, [0, 1, 6, 3, 4, 5, 6]))
    assert "restart" in " ".join(image.warnings)
    np.testing.assert_array_equal(image.components[0].coefficients, components[0].coefficients)


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3, 4, 5], [], [7], [0, 0, 0, 0, 0, 0, 0]])
def test_missing_or_senseless_restart_markers(numbers):
    data, _ = gray(restart=4)
    head, parts, tail = segments_of(data)
    image = read_coefficients(joined(head, parts[: len(numbers) + 1], tail, numbers))
    assert "restart" in " ".join(image.warnings)


def test_restart_markers_that_nobody_announced():
    data, _ = gray(restart=4)
    interval = data.index(b"\xff\xdd\x00\x04")
    image = read_coefficients(data[: interval + 4] + b"\x00\x00" + data[interval + 6 :])
    assert image.warnings


def test_damage_in_one_segment_spares_the_others():
    data, components = gray(restart=4)
    head, parts, tail = segments_of(data)
    parts[2] = b"\xff\x00" * 10
    image = read_coefficients(joined(head, parts, tail))
    assert "no Huffman table" in " ".join(image.warnings)
    ours = image.components[0].coefficients.reshape(64, -1)
    theirs = components[0].coefficients.reshape(64, -1)
    np.testing.assert_array_equal(ours[:, :8], theirs[:, :8])
    np.testing.assert_array_equal(ours[:, 12:], theirs[:, 12:])


def scans(*specs, frame=0xC2, count=1):
    components = random_components(np.random.default_rng(4), 32, 32, [(1, 1)] * count)
    return encode(components, 32, 32, list(specs), frame=frame)


DC = ScanSpec(components=(0,), end=0)


@pytest.mark.parametrize(
    "second",
    [
        DC,
        ScanSpec(components=(0,), end=0, high=2, low=1),
        ScanSpec(components=(0,), start=1, end=63, high=1, low=0),
    ],
    ids=str,
)
def test_scans_in_an_impossible_order(oracle, second):
    data = scans(DC, second)
    image = read_coefficients(data)
    assert any("does not continue" in w for w in image.warnings)
    # libjpeg-turbo says nothing of a scan that was complete before.
    assert oracle.read(data).warnings > 0 or second == DC


def test_ac_before_dc():
    data = scans(ScanSpec(components=(0,), start=1, end=63), DC)
    assert "AC coefficients before" in warnings_of(data)


@pytest.mark.parametrize(
    "spec",
    [
        ScanSpec(components=(0,), end=63),
        ScanSpec(components=(0,), start=5, end=4),
        ScanSpec(components=(0,), start=1, end=64),
        ScanSpec(components=(0,), end=0, low=14),
        ScanSpec(components=(0,), end=0, high=3, low=1),
    ],
    ids=str,
)
def test_impossible_parameters_of_a_progressive_scan(spec):
    assert "impossible parameters" in warnings_of(scans(DC, spec))


def test_ac_scan_of_several_components():
    data = scans(ScanSpec(components=(0, 1, 2), end=0), ScanSpec(components=(0, 1, 2), start=1, end=63), count=3)
    assert "impossible parameters" in warnings_of(data)


def test_sequential_frames_have_one_scan_a_component():
    spec = ScanSpec(components=(0,))
    assert "second scan of component 0" in warnings_of(scans(spec, spec, frame=0xC0))
    assert "component 2 has no scan" in warnings_of(
        scans(ScanSpec(components=(0,)), ScanSpec(components=(1,)), frame=0xC0, count=3)
    )


def test_sequential_frame_with_parameters_of_a_progressive_scan(oracle):
    data = bytearray(scans(ScanSpec(components=(0,)), frame=0xC0))
    start = scan_start(data)
    data[start - 2] = 62
    assert "scan parameters" in warnings_of(bytes(data))
    assert oracle.read(bytes(data)).warnings > 0


def test_damage_between_scans_keeps_the_scans_before_it():
    second = ScanSpec(components=(1,), before=segment(0xDB, b"\x09" + bytes(64)))
    image = read_coefficients(scans(ScanSpec(components=(0,)), second, frame=0xC0, count=2 + 1))
    assert "after scan 1" in image.warnings[0]
    assert image.components[0].coefficients.any()
    assert not image.components[1].coefficients.any()


def test_broken_table_of_a_later_scan():
    table = segment(0xC4, b"\x00" + bytes([3, *[0] * 15]) + bytes(3))
    second = ScanSpec(components=(1,), before=table)
    image = read_coefficients(scans(ScanSpec(components=(0,)), second, frame=0xC0, count=3))
    assert "scan 2: a Huffman table has too many codes" in " ".join(image.warnings)


@pytest.mark.parametrize("junk", [b"junk", b"\xff\x00junk"])
def test_bytes_between_segments(oracle, jpeg, junk):
    data = jpeg()
    at = data.index(b"\xff\xdb")
    data = data[:at] + junk + data[at:]
    assert "belong to no segment" in warnings_of(data)
    assert oracle.read(data).warnings > 0


def test_flat_tables_have_a_reserved_code():
    """The encoder of these tests leaves the code of all ones free, as T.81 C.2 demands."""
    assert len(flat_table(1, 0, 8)) == 4 + 17 + 255


@pytest.mark.parametrize("selector", [0x04, 0x40, 0xFF])
def test_huffman_tables_that_cannot_exist(oracle, selector):
    data = bytearray(scans(ScanSpec(components=(0,)), frame=0xC0))
    data[scan_start(data) - 4] = selector
    assert oracle.read(bytes(data)).failed
    with pytest.raises(CorruptImageError, match="Huffman table that is not defined"):
        read_coefficients(bytes(data))


def test_progressive_scans_name_only_one_kind_of_table_in_earnest(oracle):
    data = bytearray(scans(DC, ScanSpec(components=(0,), start=1, end=63)))
    data[scan_start(data) - 4] = 0x0F
    image = read_coefficients(bytes(data))
    assert image.warnings == ()
    assert_same(image, oracle.read(bytes(data)), "unused table")

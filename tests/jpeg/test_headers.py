"""Colour space, orientation, refusals and limits: everything that is decided before a scan is decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from freqcache.errors import CorruptImageError, ImageLimitError, UnsupportedImageError
from freqcache.jpeg import Limits, read_coefficients, read_header
from tests.jpeg.encoder import ScanSpec, encode, random_components, segment

READERS = [read_coefficients, read_header]
both = pytest.mark.parametrize("read", READERS, ids=lambda f: f.__name__)


def small(count=3, *, start=b"", identifiers=None, frame=0xC0):
    components = random_components(np.random.default_rng(1), 16, 16, [(1, 1)] * count)
    data = bytearray(encode(components, 16, 16, [ScanSpec(components=tuple(range(count)))], start=start, frame=frame))
    if identifiers:
        head, scan = data.index(b"\xff\xc0\x00"), data.index(b"\xff\xda\x00")
        for i, identifier in enumerate(identifiers):
            data[head + 10 + 3 * i] = data[scan + 5 + 2 * i] = ord(identifier)
    return bytes(data)


def edited(offset, value, marker=0xC0):
    """Return a file with a byte of its frame header changed (offset from the marker)."""
    data = bytearray(small())
    data[data.index(bytes([0xFF, marker, 0])) + offset] = value
    return bytes(data)


JFIF = segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")


def adobe(transform):
    return segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00" + bytes([transform]))


@both
@pytest.mark.parametrize(
    ("count", "start", "identifiers", "expected"),
    [
        (1, b"", None, "gray"),
        (1, adobe(1), None, "gray"),
        (3, b"", None, "YCbCr"),
        (3, JFIF, "RGB", "YCbCr"),
        (3, b"", "RGB", "RGB"),
        (3, b"", "rgb", "YCbCr"),
        (3, adobe(0), None, "RGB"),
        (3, adobe(1), "RGB", "YCbCr"),
        (3, JFIF + adobe(0), None, "YCbCr"),
        (4, b"", None, "CMYK"),
        (4, adobe(0), None, "CMYK"),
        (4, adobe(2), None, "YCCK"),
    ],
)
def test_color_space(read, count, start, identifiers, expected):
    header = read(small(count, start=start, identifiers=identifiers))
    assert (header.color_space, header.warnings) == (expected, ())


def test_color_space_is_libjpegs(oracle):
    for count, transform in [(3, 0), (3, 1), (3, 7), (4, 0), (4, 2), (4, 9)]:
        data = small(count, start=adobe(transform))
        header, reading = read_header(data), oracle.read(data)
        assert header.color_space == reading.color_space
        assert bool(header.warnings) == bool(reading.warnings)


@both
@pytest.mark.parametrize("orientation", range(10))
def test_orientation(read, orientation):
    exif = Image.Exif()
    exif[0x010E] = "a description, so that the orientation is not the only entry"
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", exif=exif)
    expected = orientation if 1 <= orientation <= 8 else 1
    assert read(buffer.getvalue()).orientation == expected


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("damage", [None, "type", "count", "offset", "short", "order"])
def test_orientation_in_both_byte_orders_and_damaged(order, damage):
    kind = 4 if damage == "type" else 3
    count = 2 if damage == "count" else 1
    entry = (0x0112).to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order)
    entry += (6).to_bytes(2, order) + b"\x00\x00"
    directory = 0xFFFFFFFF if damage == "offset" else 8
    tiff = (b"II*\x00" if order == "little" else b"MM\x00*") + directory.to_bytes(4, order)
    tiff += (1).to_bytes(2, order) + entry
    if damage == "short":
        tiff = tiff[:-4]
    if damage == "order":
        tiff = b"XX" + tiff[2:]
    start = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00") + segment(0xE1, b"Exif\x00\x00" + tiff)
    assert read_header(small(start=start)).orientation == (1 if damage else 6)


@both
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (small(2), "2 colour components"),
        (edited(4, 12), "12 bits"),
        (small(frame=0xC3), "lossless"),
        (small(frame=0xC5), "hierarchical"),
        (small(frame=0xC9), "arithmetic"),
        (small(frame=0xCA), "arithmetic"),
        (small(frame=0xF7), "JPEG-LS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"RIFF\x00\x00\x00\x00WEBP", "WebP"),
    ],
)
def test_refused_kinds(read, data, reason):
    with pytest.raises(UnsupportedImageError, match=reason):
        read(data)


@pytest.mark.parametrize("count", [5, 200])
def test_more_than_four_components_are_refused(count):
    data = b"\xff\xd8" + segment(0xC0, b"\x08\x00\x10\x00\x10" + bytes([count]) + b"\x01\x11\x00" * count)
    with pytest.raises(UnsupportedImageError, match=f"{count} colour components"):
        read_header(data)


@both
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "begins with nothing"),
        (b"\xff", "begins with ff"),
        (b"not an image", "not a JPEG file"),
        (b"\xff\xd8", "ends where a marker was expected"),
        (b"\xff\xd8\xff\xd9", "no scan"),
        (b"\xff\xd8" + small()[2:].replace(b"\xff\xc0\x00", b"\xff\xfe\x00", 1), "scan before the frame header"),
        (small()[:30], "ends inside the segment FF DB"),
        (edited(4, 9), "9 bits a sample"),
        (edited(8, 0), "0 pixels wide"),
        (edited(9, 4), "expected 18"),
        (edited(9, 0), "0 components"),
        (edited(11, 0x51), "sampling factors 5x1"),
        (edited(11, 0x10), "sampling factors 1x0"),
        (edited(12, 4), "quantization table 4"),
        (small(start=small()[2 : 2 + 69 + 19]), "second frame header"),
        (small(start=b"\xff\xd8"), "second start-of-image"),
        (small(start=b"\xff\x05\x00\x02"), "unknown marker FF 05"),
        (small(start=b"\xff\xe5\x00\x01"), "length 1"),
        (small(start=segment(0xDB, b"\x04" + bytes(64))), "quantization table segment is broken"),
        (small(start=segment(0xDB, b"\x00" + bytes(63))), "quantization table segment is broken"),
        (small(start=segment(0xC4, b"\x20" + bytes(16))), "Huffman table segment is broken"),
        (small(start=segment(0xC4, b"\x00\x05" + bytes(15))), "Huffman table segment is broken"),
        (small(start=segment(0xDD, b"\x00")), "restart interval"),
    ],
)
def test_broken_headers(read, data, reason):
    with pytest.raises(CorruptImageError, match=reason):
        read(data)


def test_missing_quantization_table():
    data = small().replace(b"\xff\xdb\x00", b"\xff\xfe\x00", 1)
    with pytest.raises(CorruptImageError, match="quantization table 0, which is not defined"):
        read_coefficients(data)
    assert read_header(data).components[0].quantization is None


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (bytes([3, *[0] * 15]) + bytes(3), "too many codes of 1 bits"),
        (bytes([2, *[0] * 15]) + bytes(2), "too many codes of 1 bits"),
        (bytes([1, *[0] * 15]) + b"\x10", "symbol 16"),
    ],
)
def test_impossible_huffman_tables(table, reason):
    data = small()
    scan = data.index(b"\xff\xda")
    with pytest.raises(CorruptImageError, match=reason):
        read_coefficients(data[:scan] + segment(0xC4, b"\x00" + table) + data[scan:])


def test_too_many_blocks_in_an_mcu():
    components = random_components(np.random.default_rng(1), 64, 64, [(4, 2), (2, 2), (1, 1)])
    with pytest.raises(CorruptImageError, match="13 blocks in an MCU"):
        read_coefficients(encode(components, 64, 64, [ScanSpec(components=(0, 1, 2))]))


@both
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_pixels=255), "16x16 pixels are over the limit max_pixels=255"),
        (Limits(max_blocks=11), "12 blocks are over the limit max_blocks=11"),
    ],
)
def test_limits_of_size(read, limits, reason):
    with pytest.raises(ImageLimitError, match=reason):
        read(small(), limits=limits)


@both
def test_limits_allow_what_is_not_over_them(read):
    assert read(small(), limits=Limits(max_pixels=256, max_blocks=12, max_scans=1)).width == 16


@both
@pytest.mark.parametrize("side", [20_000, 65_500])
def test_bombs_are_refused_by_default(read, side):
    data = bytearray(small())
    at = data.index(b"\xff\xc0\x00") + 5
    data[at : at + 4] = side.to_bytes(2, "big") * 2
    with pytest.raises(ImageLimitError, match="max_pixels"):
        read(bytes(data))


def test_size_from_a_dnl_segment_is_limited_too():
    data = bytearray(small())
    at = data.index(b"\xff\xc0\x00") + 5
    data[at : at + 4] = b"\x00\x00\xff\xff"
    data[-2:] = b"\xff\xdc\x00\x04\xff\xff\xff\xd9"
    with pytest.raises(ImageLimitError, match="max_pixels"):
        read_header(bytes(data))


def test_number_of_scans_is_limited():
    components = random_components(np.random.default_rng(1), 16, 16, [(1, 1)])
    dc = ScanSpec(components=(0,), end=0, low=0)
    bands = [ScanSpec(components=(0,), start=k, end=k) for k in range(1, 64)]
    data = encode(components, 16, 16, [dc, *bands], frame=0xC2)
    assert read_coefficients(data, limits=Limits(max_scans=64)).warnings == ()
    with pytest.raises(ImageLimitError, match="max_scans=63"):
        read_coefficients(data, limits=Limits(max_scans=63))
    with pytest.raises(ImageLimitError, match="max_scans=256"):
        read_coefficients(data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 1000 + b"\xff\xd9")


def test_header_of_a_path_reads_no_more_than_it_needs(tmp_path, monkeypatch):
    """Headers of 100 kB before the frame, and 10 MB that nobody asked for."""
    start = b"".join(segment(0xE2, bytes(50_000)) for _ in range(2))
    path = tmp_path / "image.jpg"
    path.write_bytes(small(start=start) + bytes(10_000_000))
    sizes = []

    class Counting(io.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            sizes.append(len(data))
            return data

    monkeypatch.setattr(type(path), "open", lambda self, mode: Counting(str(self), mode))
    assert read_header(path).width == 16
    assert 100_000 < sum(sizes) < 400_000


def test_missing_file():
    for read in READERS:
        with pytest.raises(FileNotFoundError):
            read("/nowhere/at/all.jpg")

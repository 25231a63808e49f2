"""The computing path on what is no image, broken, or too large; and Pillow's warnings."""

from __future__ import annotations

import io
import itertools
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from freqcache.errors import CorruptImageError, ImageLimitError, SourceError, UnsupportedImageError
from freqcache.pixels import decode_to_coefficients, inspect

WIDTH, HEIGHT = 45, 29  # of the photo fixture
_OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"This is a text, not an image.\n" * 20,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
    ],
)
def test_what_is_no_image_is_unsupported(data):
    for call in (decode_to_coefficients, inspect):
        with pytest.raises(UnsupportedImageError, match=r"bytes|empty"):
            call(data)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_without_an_8_bit_meaning_are_unsupported(oracle, mode):
    data = oracle.encode(Image.new(mode, (9, 9)), "TIFF")
    for call in (decode_to_coefficients, inspect):
        with pytest.raises(UnsupportedImageError, match=mode):
            call(data)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000"])
@pytest.mark.parametrize("part", [0.4, 0.6, 0.8])
def test_truncated_files_are_corrupt(oracle, photo, file_format, part):
    if file_format in _OPTIONAL and not features.check(_OPTIONAL[file_format]):
        pytest.skip(f"this Pillow was built without {file_format}")
    data = oracle.encode(photo.convert("P") if file_format == "GIF" else photo, file_format)
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    # Where the cut meets the header or its directory, Pillow does not recognise the file any more.
    with pytest.raises((CorruptImageError, UnsupportedImageError)) as caught:
        decode_to_coefficients(data[: int(len(data) * part)])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is before is False
    if file_format in {"PNG", "JPEG", "BMP", "PPM"} and part > 0.5:
        assert caught.type is CorruptImageError


def test_damaged_compressed_data_is_corrupt(oracle, photo):
    data = bytearray(oracle.encode(photo, "PNG"))
    start = data.index(b"IDAT") + 4
    data[start : start + 40] = b"\xa5" * 40
    with pytest.raises(CorruptImageError, match="PNG"):
        decode_to_coefficients(bytes(data))


def test_mutants_raise_only_source_errors(oracle, photo):
    """A short run; it must see both files that pass and files that do not."""
    rng = np.random.default_rng(7)
    exif = Image.Exif()
    exif[274] = 6
    seeds = [oracle.encode(photo, name, exif=exif) for name in ("JPEG", "PNG", "WEBP", "TIFF")]
    seeds += [oracle.encode(photo, name) for name in ("BMP", "PPM", "QOI", "SGI")]
    seeds.append(oracle.encode(photo.convert("P"), "GIF"))
    seeds.append(oracle.encode(photo.convert("CMYK"), "JPEG"))
    outcomes = {"decoded": 0, "refused": 0}
    for seed, round_ in itertools.product(seeds, range(40)):
        mutant = bytearray(seed)
        reach = len(mutant) if round_ % 2 else min(200, len(mutant))
        for position in rng.integers(0, reach, rng.integers(1, 6)):
            mutant[position] = rng.choice([0, 255, int(rng.integers(256))])
        try:
            decode_to_coefficients(bytes(mutant), max_pixels=1_000_000)
            inspect(bytes(mutant), max_pixels=1_000_000)
            outcomes["decoded"] += 1
        except SourceError:
            outcomes["refused"] += 1
    assert outcomes["decoded"] > 50
    assert outcomes["refused"] > 50


def _png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = zlib.compress(b"\0" * 100)
    idat = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return b"\x89PNG\r\n\x1a\n" + body + idat


def test_too_many_pixels_are_refused_by_the_header(oracle, photo):
    for call in (decode_to_coefficients, inspect):
        with pytest.raises(ImageLimitError, match=r"200000 x 200000|40000000000"):
            call(_png_header(200_000, 200_000))
        with pytest.raises(ImageLimitError, match=f"expected at most {WIDTH * HEIGHT - 1}"):
            call(oracle.encode(photo, "PNG"), max_pixels=WIDTH * HEIGHT - 1)
        assert call(oracle.encode(photo, "PNG"), max_pixels=WIDTH * HEIGHT).width == WIDTH


def test_pillows_own_limit_raises_ours_and_its_warning_is_not_shown(oracle, photo, monkeypatch):
    data = oracle.encode(photo, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)  # warns (an error here) up to twice that
    with pytest.raises(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    assert decode_to_coefficients(data).width == WIDTH
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 2 - 1)
    with pytest.raises(ImageLimitError, match="Pillow"):
        decode_to_coefficients(data)


def test_warnings_are_hidden_and_the_filters_restored_under_threads(oracle, photo, monkeypatch):
    data = oracle.encode(photo, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT - 1)
    before = list(warnings.filters)
    widths, barrier = [], threading.Barrier(6)

    def work():
        barrier.wait()
        for _ in range(30):
            widths.append(decode_to_coefficients(data).width)  # noqa: PERF401

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert widths == [WIDTH] * 180
    assert warnings.filters == before

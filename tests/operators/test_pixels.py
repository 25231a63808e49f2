"""The computing path: files of every kind against Pillow's pixels and scipy's DCT; orientation."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from freqcache.errors import SourceError
from freqcache.pixels import decode_to_coefficients, inspect
from freqcache.quantization import ijg_table

WIDTH, HEIGHT = 45, 29  # of the photo fixture


def _ycbcr(rgb):
    """JFIF 1.02 in float64."""
    red, green, blue = np.moveaxis(np.asarray(rgb).astype(np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128


def _check(oracle, image, planes, quality=95):
    """Every coefficient is within half a quantization step of scipy's DCT of the planes."""
    assert (image.height, image.width) == planes[0].shape
    assert len(image.components) == len(planes)
    for number, (component, plane) in enumerate(zip(image.components, planes, strict=True)):
        table = ijg_table(quality, chroma=number > 0)
        assert (component.h, component.v) == (1, 1)
        assert component.coefficients.dtype == np.int16
        assert (component.quantization == table).all()
        steps = table.astype(np.float64)[:, None, None]
        error = component.coefficients * steps - oracle.block_dct(plane)
        assert (np.abs(error) <= steps / 2 + 5e-3).all()


LOSSLESS = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "PPM": {},
    "SGI": {},
    "QOI": {},
    "WEBP": {"lossless": True},
    "JPEG2000": {},
}
_OPTIONAL = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000", "TIFF lzw": "libtiff"}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats(oracle, photo, name):
    if name in _OPTIONAL and not features.check(_OPTIONAL[name]):
        pytest.skip(f"this Pillow was built without {_OPTIONAL[name]}")
    file_format = name.split()[0]
    data = oracle.encode(photo, file_format, **LOSSLESS[name])
    image = decode_to_coefficients(data)
    assert image.format == file_format
    assert image.color_space == "YCbCr"
    assert image.orientation == 1
    _check(oracle, image, _ycbcr(photo))


@pytest.mark.parametrize("height", [120, 128, 129, 250, 264])
def test_tall_pictures(oracle, height):
    tall = Image.fromarray(oracle.photo(height, 19, seed=height))
    _check(oracle, decode_to_coefficients(oracle.encode(tall, "BMP")), _ycbcr(tall))


@pytest.mark.parametrize("quality", [1, 50, 75, 100])
def test_quality_chooses_the_tables(oracle, photo, quality):
    _check(oracle, decode_to_coefficients(oracle.encode(photo, "PNG"), quality=quality), _ycbcr(photo), quality)


@pytest.mark.parametrize("quality", [0, 101])
def test_unknown_quality_is_refused(oracle, photo, quality):
    with pytest.raises(ValueError, match="quality"):
        decode_to_coefficients(oracle.encode(photo, "PNG"), quality=quality)


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        *(("PNG", mode) for mode in ("RGBA", "P", "LA", "L", "1")),
        *(("TIFF", mode) for mode in ("RGBA", "RGBX", "P", "LA", "L", "1", "CMYK")),
    ],
)
def test_modes_become_what_convert_makes_of_them(oracle, photo, file_format, mode):
    source = photo.convert(mode)
    if mode in {"RGBA", "LA"}:
        alpha = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        source.putalpha(Image.fromarray(alpha))
    image = decode_to_coefficients(oracle.encode(source, file_format))
    if mode in {"LA", "L", "1"}:
        assert image.color_space == "gray"
        _check(oracle, image, [np.asarray(source.convert("L"))])
    else:
        _check(oracle, image, _ycbcr(source.convert("RGB")))


@pytest.mark.parametrize("transparency", [0, bytes(range(256))])
def test_transparent_palette_entries_keep_their_colour(oracle, photo, transparency):
    source = photo.convert("P", palette=Image.Palette.ADAPTIVE)
    data = oracle.encode(source, "PNG", transparency=transparency)
    _check(oracle, decode_to_coefficients(data), _ycbcr(source.convert("RGB")))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_gray_of_16_bits_is_scaled_to_8(oracle, file_format):
    levels = np.random.default_rng(0).integers(0, 65536, (24, 31), dtype=np.uint16)
    levels[0, :2] = 0, 65535
    image = decode_to_coefficients(oracle.encode(Image.fromarray(levels), file_format), quality=100)
    assert image.color_space == "gray"
    _check(oracle, image, [np.rint(levels / 257)], quality=100)


def test_palette_gif_and_only_its_first_frame(oracle, photo):
    first, second = (photo.convert("P", palette=Image.Palette.ADAPTIVE), Image.new("P", photo.size))
    data = oracle.encode(first, "GIF", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.n_frames == 2
        expected = _ycbcr(stored.convert("RGB"))
    _check(oracle, decode_to_coefficients(data), expected)


@pytest.mark.parametrize("file_format", ["WEBP", "AVIF", "TIFF"])
def test_only_the_first_frame_of_others(oracle, photo, file_format):
    if file_format in _OPTIONAL and not features.check(_OPTIONAL[file_format]):
        pytest.skip(f"this Pillow was built without {file_format}")
    data = oracle.encode(photo, file_format, save_all=True, append_images=[Image.new("RGB", photo.size)])
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.n_frames == 2
        expected = _ycbcr(stored.convert("RGB"))
    _check(oracle, decode_to_coefficients(data), expected)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_ycbcr_jpeg_is_taken_without_a_detour(oracle, photo, subsampling):
    data = oracle.encode(photo, "JPEG", quality=90, subsampling=subsampling)
    with Image.open(io.BytesIO(data)) as stored:
        rgb = _ycbcr(stored.convert("RGB"))
    image = decode_to_coefficients(data)
    assert image.format == "JPEG"
    for component, plane in zip(image.components, rgb, strict=True):
        steps = component.quantization.astype(np.float64)[:, None, None]
        error = oracle.block_idct(component.coefficients * steps)[:HEIGHT, :WIDTH] - plane
        assert abs(error.mean()) < 0.1
        assert np.abs(error).mean() < 1.5  # the rounding of RGB and the quantization


def test_rgb_jpeg_is_converted(oracle, photo):
    data = oracle.encode(photo, "JPEG", quality=100, keep_rgb=True)
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.info["adobe_transform"] == 0
        expected = _ycbcr(stored)
    _check(oracle, decode_to_coefficients(data), expected)


def test_rgb_jpeg_by_identifiers_alone_is_converted(oracle, photo):
    data = oracle.encode(photo, "JPEG", quality=100, keep_rgb=True)
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    unmarked = data[:start] + data[start + 2 + length :]
    with Image.open(io.BytesIO(unmarked)) as stored:
        assert "adobe_transform" not in stored.info
        assert [layer[0] for layer in stored.layer] == list(b"RGB")
        expected = _ycbcr(stored)
    _check(oracle, decode_to_coefficients(unmarked), expected)


def test_rgb_jpeg_by_adobes_marker_alone_is_converted(oracle, photo):
    data = bytearray(oracle.encode(photo, "JPEG", quality=100, keep_rgb=True))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 10 : frame + 19 : 3] = data[scan + 5 : scan + 11 : 2] = bytes([1, 2, 3])
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.info["adobe_transform"] == 0
        assert [layer[0] for layer in stored.layer] == [1, 2, 3]
        expected = _ycbcr(stored)
    assert np.abs(np.asarray(expected[0]) - _ycbcr(photo)[0]).mean() < 2
    _check(oracle, decode_to_coefficients(bytes(data)), expected)


def test_cmyk_jpeg_with_adobes_inversion(oracle, photo):
    data = oracle.encode(photo.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    with Image.open(io.BytesIO(data)) as stored:
        assert stored.mode == "CMYK"
        expected = stored.convert("RGB")
    assert np.abs(np.asarray(expected).astype(int) - np.asarray(photo)).mean() < 4
    _check(oracle, decode_to_coefficients(data), _ycbcr(expected))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
def test_exif_orientation_as_exif_transpose(oracle, photo, file_format, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = oracle.encode(photo, file_format, exif=exif, **({"lossless": True} if file_format == "WEBP" else {}))
    with Image.open(io.BytesIO(data)) as stored:
        stored.load()
        upright, kept = ImageOps.exif_transpose(stored), stored.copy()
    for apply_orientation, expected in ((True, upright), (False, kept)):
        image = decode_to_coefficients(data, apply_orientation=apply_orientation)
        assert (image.width, image.height) == expected.size
        assert image.orientation == (orientation if 1 <= orientation <= 8 else 1)
        info = inspect(data)
        assert sorted((info.width, info.height)) == sorted((image.width, image.height))
        assert info.color_space == image.color_space
        if file_format != "JPEG":
            _check(oracle, image, _ycbcr(expected.convert("RGB")))
            continue
        luma = oracle.block_idct(image.components[0].coefficients * ijg_table(95)[:, None, None].astype(float))
        assert np.abs(luma[: image.height, : image.width] - _ycbcr(expected)[0]).mean() < 1.5


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_tiff_is_always_upright(oracle, photo, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = oracle.encode(photo, "TIFF", exif=exif)
    with Image.open(io.BytesIO(data)) as stored:
        expected = stored.convert("RGB")
    assert (expected.size == photo.size) == (orientation == 1)
    for apply_orientation in (True, False):
        image = decode_to_coefficients(data, apply_orientation=apply_orientation)
        assert image.orientation == 1
        _check(oracle, image, _ycbcr(expected))
        info = inspect(data)
        assert sorted((info.width, info.height)) == sorted(expected.size)


def test_unparsable_exif_counts_as_none(oracle, photo):
    data = oracle.encode(photo, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12garbage")
    image = decode_to_coefficients(data)
    assert (image.orientation, image.width) == (1, WIDTH)


def test_inspect_of_a_path_goes_by_content(oracle, photo, tmp_path):
    path = tmp_path / "liar.JPEG"
    path.write_bytes(oracle.encode(photo.convert("L"), "PNG"))
    for source in (path, str(path)):
        info = inspect(source)
        assert (info.width, info.height, info.color_space, info.format) == (WIDTH, HEIGHT, "gray", "PNG")
    with pytest.raises(SourceError, match="cannot be read"):
        inspect(tmp_path / "absent.png")

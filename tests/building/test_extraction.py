"""The three routes of a file, and that the header promises what the data give."""

from __future__ import annotations

import errno
import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from photographs import encoded, pixels
from PIL import Image, ImageOps
from scipy.fft import idctn

from freqcache import jpeg
from freqcache.errors import BuildError, CorruptImageError, ImageLimitError, SourceError, UnsupportedImageError
from freqcache.extraction import ExtractionOptions, Sample, extract, inspect
from freqcache.sources.files import read_file
from freqcache_formats.channels import NATURAL_TO_ZIGZAG
from freqcache_formats.layout import Origin

DEFAULT = ExtractionOptions()


def luma(sample: Sample) -> np.ndarray:
    """Decode a sample's luma with scipy: (height, width) float64."""
    coefficients = sample.components[0].dequantized().astype(np.float64)[NATURAL_TO_ZIGZAG]
    rows, cols = coefficients.shape[1:]
    blocks = idctn(coefficients.reshape(8, 8, rows, cols), axes=(0, 1), norm="ortho") + 128
    return blocks.transpose(2, 0, 3, 1).reshape(rows * 8, cols * 8)[: sample.height, : sample.width]


def oriented(width: int, height: int, orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(orientation, width, height, exif=exif, quality=90, **options)


CASES = {
    "plain": (encoded(1, 50, 43, quality=80), Origin.EXTRACTED),
    "progressive 4:4:4": (encoded(2, 50, 43, quality=80, subsampling=0, progressive=True), Origin.EXTRACTED),
    "gray": (encoded(3, 50, 43, mode="L"), Origin.EXTRACTED),
    "turned, aligned": (oriented(64, 32, 6), Origin.EXTRACTED),
    "turned, padded edge moves": (oriented(50, 43, 6), Origin.COMPUTED),
    "large": (encoded(4, 700, 300, quality=80), Origin.REDUCED),
    "large and turned": (oriented(640, 320, 8), Origin.REDUCED),
    "CMYK": (encoded(5, 50, 43, mode="CMYK"), Origin.COMPUTED),
    "RGB JPEG": (encoded(6, 50, 43, keep_rgb=True, subsampling=0), Origin.COMPUTED),
    "PNG": (encoded(7, 50, 43, file_format="PNG"), Origin.COMPUTED),
    "large PNG": (encoded(8, 600, 200, file_format="PNG"), Origin.COMPUTED),
    "WebP": (encoded(9, 50, 43, file_format="WEBP"), Origin.COMPUTED),
    "gray PNG": (encoded(10, 50, 43, file_format="PNG", mode="L"), Origin.COMPUTED),
}


@pytest.mark.parametrize("keep_orientation", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_header_promises_what_the_data_give(name: str, keep_orientation: bool, tmp_path: Path) -> None:
    data, origin = CASES[name]
    path = tmp_path / "file.jpg"  # whatever it is: content counts, not the name
    path.write_bytes(data)
    options = ExtractionOptions(keep_orientation=keep_orientation)
    sample = extract(data, options)
    assert inspect(partial(read_file, path), options) == sample.block_counts
    if not keep_orientation:
        assert sample.origin == origin
    with Image.open(io.BytesIO(data)) as image:
        assert (sample.source_width, sample.source_height) == image.size
        upright = image if keep_orientation else ImageOps.exif_transpose(image)
        scale = min(1, 512 / max(upright.size))
        assert (sample.width, sample.height) == tuple(round(n * scale) for n in upright.size)


@pytest.mark.parametrize("name", CASES)
def test_every_route_shows_the_picture(name: str) -> None:
    """Luma decoded by scipy is the picture that Pillow decodes, turned and resized as the sample says."""
    data, _ = CASES[name]
    sample = extract(data, DEFAULT)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB").convert("L")
    expected = expected.resize((sample.width, sample.height), Image.Resampling.BILINEAR)
    # Quantization of noisy pixels; another picture would be 40 off.
    assert np.abs(luma(sample) - np.asarray(expected, dtype=np.float64)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_exactly_where_blocks_allow(orientation: int) -> None:
    data = oriented(64, 48, orientation, subsampling=2)
    sample = extract(data, DEFAULT)
    assert sample.origin == Origin.EXTRACTED
    assert sample.orientation == orientation
    kept = extract(data, ExtractionOptions(keep_orientation=True))
    # The same integers, only elsewhere, some with the other sign.
    for turned, plain in zip(sample.components, kept.components, strict=True):
        np.testing.assert_array_equal(
            np.sort(np.abs(turned.coefficients), axis=None), np.sort(np.abs(plain.coefficients), axis=None)
        )
    with Image.open(io.BytesIO(data)) as image:
        image.draft("YCbCr", None)
        expected = ImageOps.exif_transpose(image).getchannel(0)
    np.testing.assert_allclose(np.clip(luma(sample), 0, 255), np.asarray(expected), atol=1.6)


def test_reduced_samples_keep_their_tables_and_sampling() -> None:
    data = encoded(4, 700, 301, quality=80, subsampling=2)
    whole = extract(data, ExtractionOptions(max_size=None))
    small = extract(data, DEFAULT)
    assert (small.width, small.height) == (512, 220)
    for a, b in zip(whole.components, small.components, strict=True):
        assert (a.h, a.v) == (b.h, b.v)
        np.testing.assert_array_equal(a.quantization, b.quantization)
    assert small.components[1].coefficients.shape == (64, 14, 32)


def test_truncated_data_are_refused_or_kept_with_a_warning() -> None:
    data = encoded(1, 200, 160, quality=90)
    cut = data[: len(data) // 2]
    with pytest.raises(CorruptImageError):
        extract(cut, DEFAULT)
    kept = extract(cut, ExtractionOptions(on_corrupt="keep"))
    assert kept.warnings
    np.testing.assert_array_equal(
        kept.components[0].coefficients[:, 0, 0], extract(data, DEFAULT).components[0].coefficients[:, 0, 0]
    )


@pytest.mark.parametrize("data", [b"", b"text named jpg", b"\xff\xd8", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises((UnsupportedImageError, CorruptImageError)):
        extract(data, DEFAULT)
    with pytest.raises((UnsupportedImageError, CorruptImageError)):
        inspect(partial(read_file, path), DEFAULT)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_limits_hold_on_both_routes(file_format: str, tmp_path: Path) -> None:
    options = ExtractionOptions(limits=jpeg.Limits(max_pixels=1000))
    data = encoded(1, 50, 43, file_format=file_format)
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ImageLimitError, match="1000"):
        extract(data, options)
    with pytest.raises(ImageLimitError, match="1000"):
        inspect(partial(read_file, tmp_path / "a"), options)


def test_a_missing_file_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        inspect(partial(read_file, tmp_path / "gone.jpg"), DEFAULT)


def test_a_missing_folder_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=f"{tmp_path}/gone: .* vanished"):
        inspect(partial(read_file, tmp_path / "gone" / "1.jpg"), DEFAULT)


@pytest.mark.parametrize(("number", "expected"), [(errno.EIO, SourceError), (errno.EMFILE, OSError)])
def test_a_disk_fails_a_file_but_a_lack_of_descriptors_fails_the_build(
    number: int, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(expected, match=os.strerror(number)):
            inspect(partial(read_file, tmp_path / "1.jpg"), DEFAULT)


def test_computed_samples_use_the_tables_of_their_quality() -> None:
    data = encoded(7, 64, 64, file_format="PNG")
    sample = extract(data, ExtractionOptions(computed_quality=70))
    buffer = io.BytesIO()
    pixels(0, 16, 16).save(buffer, "JPEG", quality=70)
    with Image.open(buffer) as image:
        tables = image.quantization
    for component, table in ((0, 0), (1, 1), (2, 1)):
        np.testing.assert_array_equal(sample.components[component].quantization[NATURAL_TO_ZIGZAG], tables[table])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SourceError, match="not a regular file"):
        inspect(partial(read_file, tmp_path / "pipe.jpg"), DEFAULT)

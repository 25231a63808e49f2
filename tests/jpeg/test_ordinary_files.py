"""Files as Pillow writes them, against libjpeg-turbo and jpeglib."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from freqcache.jpeg import read_coefficients, read_header
from tests.jpeg.oracles import assert_same, jpeglib_read

SIZES = [(1, 1), (8, 8), (7, 33), (64, 64), (133, 77)]
VARIANTS = [
    {"quality": 75, "subsampling": "4:2:0"},
    {"quality": 96, "subsampling": "4:4:4"},
    {"quality": 100, "subsampling": "4:2:2", "optimize": True},
    {"quality": 5, "subsampling": "4:2:0"},
    {"quality": 90, "subsampling": "4:2:0", "progressive": True},
    {"quality": 100, "subsampling": "4:4:4", "progressive": True},
    {"quality": 85, "mode": "L"},
    {"quality": 85, "mode": "L", "progressive": True},
    {"quality": 85, "mode": "CMYK"},
    {"quality": 80, "subsampling": "4:2:0", "restart_marker_blocks": 1},
    {"quality": 80, "subsampling": "4:4:4", "restart_marker_rows": 1},
    {"quality": 80, "subsampling": "4:2:0", "progressive": True, "restart_marker_blocks": 3},
    {"quality": 95, "keep_rgb": True},
]
CASES = list(itertools.product(SIZES, VARIANTS))


@pytest.mark.parametrize(("size", "options"), CASES, ids=str)
def test_reads_what_libjpeg_turbo_reads(oracle, jpeg, size, options):
    data = jpeg(*size, **options)
    image = read_coefficients(data)
    reading = oracle.read(data)
    assert reading.warnings == 0
    assert image.warnings == ()
    assert_same(image, reading, str(options))


def test_reads_what_jpeglib_reads(jpeg, tmp_path: Path):
    paths = []
    for number, (size, options) in enumerate(CASES):
        if options.get("mode") == "CMYK" or min(size) < 8:
            continue
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg(*size, **options))
        paths.append(path)
    readings = jpeglib_read(paths)
    assert len(readings) >= len(paths) - 2
    for path, planes in readings.items():
        ours = read_coefficients(path).components
        assert len(ours) == len(planes)
        for component, plane in zip(ours, planes, strict=True):
            np.testing.assert_array_equal(component.coefficients, plane, err_msg=path.name)


def test_power_of_two_planes(oracle, jpeg):
    """512 pixels put all planes of a component at the same place of the processor's cache."""
    data = jpeg(512, 512, quality=92, subsampling="4:4:4")
    assert_same(read_coefficients(data), oracle.read(data), "512x512")


def test_coefficients_are_int16_in_c_order(jpeg):
    image = read_coefficients(jpeg(40, 24, subsampling="4:2:0"))
    assert [c.coefficients.shape for c in image.components] == [(64, 3, 5), (64, 2, 3), (64, 2, 3)]
    for component in image.components:
        assert component.coefficients.dtype == np.int16
        assert component.coefficients.flags.c_contiguous
        assert component.quantization.dtype == np.uint16
        assert component.quantization.shape == (64,)
        assert (component.block_rows, component.block_cols) == component.coefficients.shape[1:]
    assert [(c.identifier, c.h, c.v) for c in image.components] == [(1, 2, 2), (2, 1, 1), (3, 1, 1)]


def test_dc_is_the_mean_of_a_flat_picture():
    """An oracle without any decoder: a flat gray picture of value 200 has DC 8 * (200 - 128) / step."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (16, 8), 200).save(buffer, "JPEG", quality=100)
    component = read_coefficients(buffer.getvalue()).components[0]
    np.testing.assert_array_equal(component.coefficients[0], [[8 * 72, 8 * 72]])
    assert not component.coefficients[1:].any()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_header_says_the_same(jpeg, tmp_path, options):
    data = jpeg(133, 77, **options)
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    image = read_coefficients(path)
    for header in (read_header(data), read_header(path), read_header(str(path))):
        for name in ("width", "height", "color_space", "orientation", "progressive", "warnings"):
            assert getattr(header, name) == getattr(image, name)
        assert header.precision == 8
        assert header.frame_type == ("progressive" if options.get("progressive") else "baseline")
        for ours, theirs in zip(header.components, image.components, strict=True):
            assert (ours.identifier, ours.h, ours.v) == (theirs.identifier, theirs.h, theirs.v)
            assert (ours.block_rows, ours.block_cols) == theirs.coefficients.shape[1:]
            np.testing.assert_array_equal(ours.quantization, theirs.quantization)


def test_several_threads_read_the_same(jpeg):
    from concurrent.futures import ThreadPoolExecutor

    files = [jpeg(133, 77, seed=i, progressive=i % 2 == 0) for i in range(8)]
    expected = [read_coefficients(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for image, again in zip(expected, pool.map(read_coefficients, files), strict=True):
                for ours, theirs in zip(again.components, image.components, strict=True):
                    np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)

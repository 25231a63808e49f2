"""Flips, turns and EXIF orientation of coefficients against Pillow on pixels."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from freqcache.errors import SourceError
from freqcache.orientation import (
    flip_horizontal,
    flip_vertical,
    is_exact,
    orient_coefficients,
    orient_quantization,
    swaps_axes,
    transpose,
)

ORIENTATIONS = range(1, 9)

grids = hnp.arrays(
    np.int16,
    st.tuples(st.just(64), st.integers(1, 4), st.integers(1, 4)),
    elements=st.integers(-32767, 32767),
)


def _exif(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def _upright(pixels, orientation):
    """Let Pillow turn an array (h, w) uint8 whose file declares an orientation."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=_exif(orientation))
    with Image.open(buffer) as image:
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_coefficients_turn_as_pillow_turns_pixels(oracle, orientation):
    pixels = oracle.photo(24, 40)[..., 0]
    expected = oracle.block_dct(_upright(pixels, orientation))
    turned = orient_coefficients(oracle.block_dct(pixels), orientation)
    assert turned.shape == expected.shape
    np.testing.assert_allclose(turned, expected, atol=1e-9)
    assert swaps_axes(orientation) == (turned.shape != (64, 3, 5))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_decoding_the_turned_integers_gives_the_turned_pixels(oracle, tmp_path, orientation):
    decoded = oracle.read(oracle.jpeg(oracle.photo(32, 48, seed=3), tmp_path, ((2, 2), (1, 1), (1, 1)), 60))
    for plane, table in zip(decoded.planes, decoded.steps, strict=True):
        asymmetric = table.copy()
        asymmetric[1] += 7  # so that a table left untransposed shows
        stored = oracle.block_idct(plane * asymmetric[:, None, None].astype(np.int64))
        integers = orient_coefficients(plane, orientation)
        assert integers.dtype == np.int16
        turned_table = orient_quantization(asymmetric, orientation)
        turned = oracle.block_idct(integers * turned_table[:, None, None].astype(np.int64))
        image = Image.fromarray(stored.astype(np.float32))
        image.getexif()[274] = orientation
        np.testing.assert_allclose(turned, np.asarray(ImageOps.exif_transpose(image)), atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(grids)
def test_flips_and_transposition_are_involutions(coefficients):
    for primitive in (flip_horizontal, flip_vertical, transpose):
        assert (primitive(primitive(coefficients)) == coefficients).all()
    turned = coefficients
    for _ in range(4):
        turned = orient_coefficients(turned, 6)
    assert (turned == coefficients).all()
    assert (orient_coefficients(orient_coefficients(coefficients, 6), 8) == coefficients).all()


def test_orientations_form_the_dihedral_group():
    rng = np.random.default_rng(0)
    coefficients = rng.integers(-1000, 1000, (64, 2, 3), dtype=np.int16)
    images = {o: orient_coefficients(coefficients, o) for o in ORIENTATIONS}

    def name(array):
        matches = [o for o, image in images.items() if image.shape == array.shape and (image == array).all()]
        assert len(matches) == 1
        return matches[0]

    table = {
        (first, second): name(orient_coefficients(images[first], second))
        for first, second in itertools.product(ORIENTATIONS, ORIENTATIONS)
    }
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for (first, second), both in table.items():
        by_pillow = _upright(_upright(pixels, first), second)
        assert (by_pillow == _upright(pixels, both)).all()
    # Each row and column is a permutation; two elements of order 4, five of order 2; not commutative.
    for o in ORIENTATIONS:
        assert {table[o, p] for p in ORIENTATIONS} == {table[p, o] for p in ORIENTATIONS} == set(ORIENTATIONS)
    assert [o for o in ORIENTATIONS if table[o, o] == 1] == [1, 2, 3, 4, 5, 7]
    assert table[6, 6] == table[8, 8] == 3
    assert table[2, 6] != table[6, 2]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32, np.float64])
def test_any_signed_dtype_and_leading_axes(dtype):
    batch = np.random.default_rng(1).integers(-100, 100, (64, 5, 2, 3)).astype(dtype)
    for orientation in ORIENTATIONS:
        turned = orient_coefficients(batch, orientation)
        assert turned.dtype == dtype
        for item in range(5):
            assert (turned[:, item] == orient_coefficients(batch[:, item], orientation)).all()


def test_the_argument_is_never_changed():
    coefficients = np.random.default_rng(2).integers(-9, 9, (64, 3, 2), dtype=np.int16)
    kept = coefficients.copy()
    for orientation in ORIENTATIONS:
        orient_coefficients(coefficients, orientation)
    assert (coefficients == kept).all()


def test_what_has_no_negative_is_refused():
    coefficients = np.zeros((64, 1, 1), np.int16)
    coefficients[1] = -32768
    with pytest.raises(SourceError, match="-32768"):
        flip_horizontal(coefficients)
    assert flip_vertical(coefficients)[1, 0, 0] == -32768  # (0, 1) is even vertically


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_unknown_orientations_are_refused(orientation):
    for call in (
        lambda: orient_coefficients(np.zeros((64, 1, 1), np.int16), orientation),
        lambda: orient_quantization(np.ones(64, np.uint16), orientation),
        lambda: is_exact(orientation, 8, 8, [(1, 1)]),
        lambda: swaps_axes(orientation),
    ):
        with pytest.raises(ValueError, match=f"1..8, found {orientation}"):
            call()


def test_wrong_arrays_are_refused():
    for array in (
        np.zeros((63, 1, 1), np.int16),
        np.zeros((64, 2), np.int16),
        np.zeros((64, 1, 1), np.uint8),
    ):
        for primitive in (flip_horizontal, flip_vertical, transpose):
            with pytest.raises(ValueError, match="expected"):
                primitive(array)
    with pytest.raises(ValueError, match=r"\(64,\)"):
        orient_quantization(np.ones((8, 8)), 5)


@pytest.mark.parametrize(
    ("width", "height", "sampling", "expected"),
    [
        (16, 16, [(2, 2), (1, 1), (1, 1)], {1, 2, 3, 4, 5, 6, 7, 8}),
        (24, 16, [(2, 2), (1, 1), (1, 1)], {1, 4, 5, 6}),  # chroma is 12 wide
        (16, 24, [(2, 2), (1, 1), (1, 1)], {1, 2, 5, 8}),
        (24, 24, [(1, 1), (1, 1), (1, 1)], {1, 2, 3, 4, 5, 6, 7, 8}),
        (24, 24, [(2, 1), (2, 1), (2, 1)], {1, 2, 3, 4, 5, 6, 7, 8}),
        (24, 16, [(2, 1), (1, 1), (1, 1)], {1, 4, 5, 6}),
        (23, 17, [(1, 1)], {1, 5}),
        (8, 17, [(2, 2)], {1, 2, 5, 8}),
    ],
)
def test_exactness_by_size_and_sampling(width, height, sampling, expected):
    assert {o for o in ORIENTATIONS if is_exact(o, width, height, sampling)} == expected


@pytest.mark.parametrize("size", [(24, 40), (21, 40), (24, 37), (21, 37)])
def test_is_exact_says_when_turned_coefficients_match_the_turned_image(oracle, size):
    height, width = size
    pixels = oracle.photo(height, width)[..., 2]
    for orientation in ORIENTATIONS:
        upright = _upright(pixels, orientation)
        turned = oracle.block_idct(orient_coefficients(oracle.block_dct(pixels), orientation))
        matches = np.allclose(turned[: upright.shape[0], : upright.shape[1]], upright)
        assert matches == is_exact(orientation, width, height, [(1, 1)])

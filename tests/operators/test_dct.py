"""Block DCT of planes against scipy and Pillow's encoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqcache.dct import basis, blocks_to_plane, dct_matrix, plane_to_blocks


def test_matrix_is_orthonormal_and_follows_the_definition():
    matrix = dct_matrix()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-15)
    assert matrix[0, 0] == pytest.approx(8**-0.5)
    assert matrix[3, 5] == pytest.approx(0.5 * np.cos(11 * 3 * np.pi / 16))


def test_cached_arrays_are_read_only():
    for array in (dct_matrix(), basis(), basis(np.float32)):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_matches_scipy_at_any_size(oracle, height, width, seed):
    plane = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    expected = oracle.block_dct(plane)
    single, double = plane_to_blocks(plane), plane_to_blocks(plane.astype(np.float64))
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert single.shape == expected.shape == (64, -(-height // 8), -(-width // 8))
    np.testing.assert_allclose(single, expected, atol=2e-3)
    np.testing.assert_allclose(double, expected, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 5), cols=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_inverse_matches_scipy_and_undoes(oracle, rows, cols, seed):
    coefficients = np.random.default_rng(seed).normal(0, 60, (64, rows, cols))
    plane = blocks_to_plane(coefficients)
    np.testing.assert_allclose(plane, oracle.block_idct(coefficients), atol=1e-10)
    np.testing.assert_allclose(plane_to_blocks(plane), coefficients, atol=1e-10)
    single = blocks_to_plane(coefficients.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, plane, atol=1e-3)


def test_strided_planes_are_taken_as_they_are(oracle):
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    np.testing.assert_allclose(plane_to_blocks(image[::-1, :, 1]), oracle.block_dct(image[::-1, :, 1]), atol=2e-3)


def test_inverse_gives_what_pillow_decodes(oracle, tmp_path):
    path = oracle.jpeg(oracle.photo(48, 64), tmp_path)
    decoded = oracle.read(path)
    with Image.open(path) as image:
        image.draft("YCbCr", None)
        pixels = np.asarray(image)
    for component, plane in enumerate(decoded.dequantized):
        # libjpeg's integer IDCT and rounding: half a level, and a little.
        assert np.abs(blocks_to_plane(plane)[:48, :64] - pixels[..., component]).max() < 1.1


def test_forward_gives_what_libjpeg_encodes(oracle, tmp_path):
    plane = oracle.photo(40, 56)[..., 1]
    path = tmp_path / "ones.jpg"
    path.write_bytes(oracle.encode(Image.fromarray(plane), "JPEG", qtables=[[1] * 64]))
    encoded = oracle.read(path).planes[0]
    ours = plane_to_blocks(plane)
    # With all steps 1 libjpeg's integers are its (integer) DCT, rounded.
    assert np.abs(ours - encoded).max() < 1
    assert np.mean(np.rint(ours) == encoded) > 0.9


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (8,), (8, 8, 3)])
def test_bad_planes_are_refused(shape):
    with pytest.raises(ValueError, match="non-empty plane"):
        plane_to_blocks(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(63, 2, 2), (64, 2), (64, 1, 2, 2)])
def test_bad_coefficients_are_refused(shape):
    with pytest.raises(ValueError, match="block_rows"):
        blocks_to_plane(np.zeros(shape, np.float32))

"""The reference decoder against Pillow's, and YCbCr against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from freqcache.rgb import coefficients_to_rgb, rgb_to_ycbcr

SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (61, 43), (17, 95), (48, 33)])
def test_decodes_as_pillow_does(oracle, tmp_path, name, width, height):
    path = oracle.jpeg(oracle.photo(height, width, seed=width), tmp_path, SAMPLINGS[name], quality=85)
    decoded = oracle.read(path)
    assert decoded.sampling == SAMPLINGS[name]
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    rgb = coefficients_to_rgb(decoded.planes, decoded.steps, sampling=decoded.sampling, width=width, height=height)
    assert rgb.dtype == np.uint8
    error = np.abs(rgb - expected)
    # Nothing clips in these pictures: what is left is libjpeg's rounding of samples and of chroma.
    assert error.max() <= 4
    assert error.mean() < 0.6


def test_gray_by_one_plane_or_by_absent_chroma(oracle, tmp_path):
    gray = oracle.photo(33, 50)[..., 0]
    path = tmp_path / "gray.jpg"
    path.write_bytes(oracle.encode(Image.fromarray(gray), "JPEG", quality=90))
    decoded = oracle.read(path)
    alone = coefficients_to_rgb(decoded.planes, decoded.steps, sampling=[(1, 1)], width=50, height=33)
    padded = coefficients_to_rgb(
        (*decoded.planes, None, None),
        (*decoded.steps, None, None),
        sampling=[(2, 2), (0, 0), (0, 0)],
        width=50,
        height=33,
    )
    assert (alone == padded).all()
    with Image.open(path) as image:
        assert np.abs(alone.astype(int) - np.asarray(image)[..., None]).max() <= 1


def test_saturated_pixels_are_clamped():
    plane = np.zeros((64, 1, 2), np.int16)
    plane[0] = [[3000, -3000]]
    rgb = coefficients_to_rgb([plane], [np.ones(64)], sampling=[(1, 1)], width=16, height=8)
    assert (rgb[:, :8] == 255).all()
    assert (rgb[:, 8:] == 0).all()


@pytest.mark.parametrize("present", [(), (0,), (1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1, 1)])
def test_other_sets_of_planes_are_refused(present):
    planes = [np.zeros((64, 1, 1), np.int16) if there else None for there in present]
    steps = [np.ones(64) if there else None for there in present]
    with pytest.raises(ValueError, match="expected Y alone"):
        coefficients_to_rgb(planes, steps, sampling=[(1, 1)] * len(planes), width=8, height=8)


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (0, 128, 128)),
        ((255, 255, 255), (255, 128, 128)),
        ((255, 0, 0), (76.245, 84.972, 255.5)),
        ((0, 255, 0), (149.685, 43.528, 21.235)),
        ((0, 0, 255), (29.07, 255.5, 107.265)),
    ],
)
def test_ycbcr_of_known_colours(rgb, ycbcr):
    planes = rgb_to_ycbcr(np.array([[rgb]], np.uint8))
    assert planes.shape == (3, 1, 1)
    np.testing.assert_allclose(planes.ravel(), ycbcr, atol=2e-3)


def test_ycbcr_is_what_libjpeg_encodes_up_to_rounding(oracle, tmp_path):
    pixels = oracle.photo(40, 48, seed=9)
    path = tmp_path / "ones.jpg"
    path.write_bytes(oracle.encode(Image.fromarray(pixels), "JPEG", qtables=[[1] * 64] * 2, subsampling=0))
    for plane, expected in zip(oracle.read(path).planes, rgb_to_ycbcr(pixels), strict=True):
        error = oracle.block_idct(plane) - expected
        assert abs(error.mean()) < 0.02  # no bias: half a level is what truncation would show
        assert np.abs(error).max() < 2.5

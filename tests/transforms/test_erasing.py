"""Erased blocks of normalized coefficients against pixels overwritten by the mean image, and torchvision's draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from freqcache.transforms import Normalize, RandomErasing
from tests.transforms.spectra import forward, inverse


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn_by_torchvision(rng, rows, cols, scale, ratio):
    """(height, width) as torchvision's RandomErasing.get_params draws it; None where it gives up."""
    for _ in range(10):
        area = rows * cols * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height < rows and width < cols:
            return height, width
    return None


def test_erased_blocks_show_the_mean_image():
    rng = np.random.default_rng(0)
    planes = rng.uniform(-128, 127, (6, 3, 64, 48))
    mean, std = rng.normal(0, 20, 192), rng.uniform(1, 9, 192)
    normalize = Normalize(*(torch.from_numpy(v).float() for v in (mean, std, np.ones(192))))
    module = RandomErasing(p=1.0)
    x = normalize(torch.from_numpy(np.stack([forward(image) for image in planes])))
    found = module(x, seeded())
    mean_block = inverse(mean[:, None, None])  # (3, 8, 8)
    for image, coefficients, edges in zip(planes, found, module.draw(6, (8, 6), seeded()).T.tolist(), strict=True):
        top, bottom, left, right = edges
        assert bottom > top
        assert right > left
        erased = image.copy()
        erased[:, 8 * top : 8 * bottom, 8 * left : 8 * right] = np.tile(mean_block, (1, bottom - top, right - left))
        expected = (forward(erased) - mean[:, None, None]) / std[:, None, None]
        np.testing.assert_allclose(coefficients.numpy(), expected, rtol=1e-5, atol=1e-3)


def test_pixels_lose_the_same_blocks():
    ones = torch.ones(50, 3, 7, 9)
    blocks = RandomErasing(value=0.5)(ones, seeded())
    pixels = RandomErasing(value=0.5, step=4)(torch.ones(50, 3, 28, 36), seeded())
    assert torch.equal(pixels, blocks.repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert sorted(blocks.unique().tolist()) == [0.5, 1.0]


def test_rectangles_are_drawn_as_torchvision_draws_them():
    rng = np.random.default_rng(0)
    n, grid, scale, ratio = 20_000, (24, 40), (0.1, 0.5), (0.3, 3.3)
    top, bottom, left, right = RandomErasing(0.7, scale, ratio).draw(n, grid, seeded()).numpy()
    is_erased = bottom > top
    assert abs(is_erased.mean() - 0.7) < 0.015
    ours = np.stack([bottom - top, right - left])[:, is_erased]
    theirs = np.array([drawn_by_torchvision(rng, *grid, scale, ratio) for _ in range(n)]).T
    for a, b, size in zip(ours, theirs, grid, strict=True):
        shares = [np.bincount(sides, minlength=size) / len(sides) for sides in (a, b)]
        assert np.abs(np.cumsum(shares[0]) - np.cumsum(shares[1])).max() < 0.02
    # Their places are uniform too, each where it fits.
    for first, side, size in ((top[is_erased], ours[0], grid[0]), (left[is_erased], ours[1], grid[1])):
        assert first.min() == 0
        assert (first + side).max() == size
        assert abs(np.mean((first + 0.5) / (size - side + 1)) - 0.5) < 0.01


def test_the_probability_is_kept():
    x = torch.ones(300, 1, 8, 8)
    assert torch.equal(RandomErasing(p=0.0)(x, seeded()), x)
    assert (RandomErasing(p=1.0)(x, seeded()).amin((1, 2, 3)) == 0).all()


def test_small_grids_lose_a_block_or_nothing():
    out = RandomErasing(p=1.0)(torch.ones(20, 1, 2, 2), seeded())
    assert (out.sum((1, 2, 3)) == 3).all()
    assert (RandomErasing(p=1.0)(torch.ones(5, 1, 1, 1), seeded()) == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.5}, "probability in 0..1, found 1.5"),
        ({"scale": (0.5, 0.2)}, r"shares of the area .* found \(0.5, 0.2\)"),
        ({"scale": (0.5, 1.2)}, "shares of the area"),
        ({"ratio": (0.0, 1.0)}, "positive ratios"),
        ({"ratio": (1.0, float("inf"))}, "positive ratios"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        RandomErasing(**options)


def test_parts_of_blocks_are_refused():
    with pytest.raises(ValueError, match="whole blocks of 4 rows and columns, found 8 x 10"):
        RandomErasing(step=4)(torch.ones(1, 3, 8, 10))

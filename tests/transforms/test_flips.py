"""Mirrored and shifted coefficients against scipy's DCT of mirrored pixels, and against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.transforms import RandomBlockShift, RandomHorizontalFlip
from freqcache_formats.mask import ChannelMask
from tests.transforms.spectra import forward

ALL = ChannelMask.preset("192")


def test_flip_is_the_spectrum_of_the_mirrored_image():
    planes = np.random.default_rng(1).uniform(-128, 127, (3, 16, 32))
    coefficients = torch.from_numpy(forward(planes))[None]
    flipped = RandomHorizontalFlip(ALL).flip(coefficients)
    np.testing.assert_allclose(flipped[0].numpy(), forward(planes[:, :, ::-1]), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    indices=st.sets(st.integers(0, 191), min_size=1, max_size=12),
    rows=st.integers(1, 4),
    cols=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_flip_twice_is_the_identity_and_masking_commutes(indices, rows, cols, seed):
    mask = ChannelMask.from_indices(indices)
    full = torch.from_numpy(np.random.default_rng(seed).integers(-127, 128, (2, 192, rows, cols), dtype=np.int8))
    part = full[:, torch.from_numpy(mask.indices)]
    flip = RandomHorizontalFlip(mask)
    assert torch.equal(flip.flip(flip.flip(part)), part)
    assert torch.equal(flip.flip(part), RandomHorizontalFlip(ALL).flip(full)[:, torch.from_numpy(mask.indices)])
    assert flip.flip(part).dtype == torch.int8


def test_random_flip_flips_about_half_and_leaves_its_input():
    x = torch.from_numpy(np.random.default_rng(0).integers(-127, 128, (400, 192, 1, 2), dtype=np.int8))
    before = x.clone()
    module = RandomHorizontalFlip(ALL)
    out = module(x, torch.Generator().manual_seed(0))
    flipped = module.flip(x)
    is_flipped = (out == flipped).flatten(1).all(1)
    is_same = (out == x).flatten(1).all(1)
    assert (is_flipped ^ is_same).all()
    assert 160 < int(is_flipped.sum()) < 240
    assert torch.equal(x, before)
    assert torch.equal(module(x, torch.Generator().manual_seed(0)), out)


@pytest.mark.parametrize(("blocks", "step"), [(1, 1), (2, 1), (2, 4)])
def test_shift_moves_whole_blocks_and_fills_with_zeros(blocks, step):
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2, 4 * step, 5 * step))).float() + 10
    out = RandomBlockShift(blocks, step)(x, torch.Generator().manual_seed(0))
    offsets = set()
    for image, moved in zip(x, out, strict=True):
        found = []
        for dy in range(-blocks, blocks + 1):
            for dx in range(-blocks, blocks + 1):
                expected = np.zeros_like(image.numpy())
                for row in range(image.shape[1]):
                    for col in range(image.shape[2]):
                        source = row + dy * step, col + dx * step
                        if 0 <= source[0] < image.shape[1] and 0 <= source[1] < image.shape[2]:
                            expected[:, row, col] = image.numpy()[:, source[0], source[1]]
                if np.array_equal(expected, moved.numpy()):
                    found.append((dy, dx))
        assert len(found) == 1
        offsets |= set(found)
    assert {dy for dy, _ in offsets} == {dx for _, dx in offsets} == set(range(-blocks, blocks + 1))

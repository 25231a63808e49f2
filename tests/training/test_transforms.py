"""Transforms on coefficients against scipy's DCT of transformed pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn, idctn

from freqcache.transforms import Normalize, RandomBlockShift, RandomHorizontalFlip, ToPixels
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.mask import ChannelMask

ALL = ChannelMask.preset("192")
RGB_MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]
RGB_STD = np.array([0.229, 0.224, 0.225])[:, None, None]


def forward(planes: np.ndarray) -> np.ndarray:
    """(3, 8H, 8W) samples to (192, H, W) coefficients, channel by channel from the channel table."""
    _, height, width = planes.shape
    blocks = planes.reshape(3, height // 8, 8, width // 8, 8).transpose(0, 1, 3, 2, 4)
    spectra = dctn(blocks, axes=(3, 4), norm="ortho")
    index = {"Y": 0, "Cb": 1, "Cr": 2}
    return np.stack([spectra[index[c.component], :, :, c.v, c.u] for c in ALL_CHANNELS])


def inverse(coefficients: np.ndarray) -> np.ndarray:
    """(192, H, W) coefficients to (3, 8H, 8W) samples."""
    _, rows, cols = coefficients.shape
    spectra = np.zeros((3, rows, cols, 8, 8))
    index = {"Y": 0, "Cb": 1, "Cr": 2}
    for channel, plane in zip(ALL_CHANNELS, coefficients, strict=True):
        spectra[index[channel.component], :, :, channel.v, channel.u] = plane
    blocks = idctn(spectra, axes=(3, 4), norm="ortho")
    return blocks.transpose(0, 1, 3, 2, 4).reshape(3, 8 * rows, 8 * cols)


def test_normalize_is_the_formula():
    rng = np.random.default_rng(0)
    stored = rng.integers(-127, 128, (2, 6, 3, 4)).astype(np.int8)
    mean, std, scale = rng.normal(0, 50, 6), rng.uniform(1, 90, 6), rng.uniform(1, 16, 6)
    expected = (stored * scale[:, None, None] - mean[:, None, None]) / std[:, None, None]
    module = Normalize(*(torch.tensor(v, dtype=torch.float32) for v in (mean, std, scale)))
    for kind in (np.int8, np.int16, np.float32):
        found = module(torch.from_numpy(stored.astype(kind)))
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_constant_channel_stays_finite():
    module = Normalize(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([2.0]))
    assert torch.equal(module(torch.full((1, 1, 2, 2), 4, dtype=torch.int8)), torch.full((1, 1, 2, 2), 5.0))


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


def test_pixels_are_those_that_pillow_converts_to():
    small = np.random.default_rng(2).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    ycc = Image.fromarray(small).resize((48, 32), Image.Resampling.BICUBIC)
    planes = np.asarray(ycc)  # any numbers will do for Y, Cb and Cr
    expected = np.asarray(Image.frombytes("YCbCr", ycc.size, planes.tobytes()).convert("RGB"), dtype=np.float64)
    coefficients = torch.from_numpy(forward(planes.transpose(2, 0, 1) - 128.0)).float()[None]
    scale = torch.linspace(0.5, 4, 192)
    found = ToPixels(scale).pixels(coefficients / scale[:, None, None])[0].numpy()
    assert found.shape == (3, 32, 48)
    assert np.abs(found - expected.transpose(2, 0, 1)).max() < 1.05  # Pillow rounds to integers
    assert np.ptp(expected) > 200


def test_pixels_follow_the_formula_and_are_clamped():
    coefficients = np.random.default_rng(3).normal(0, 60, (192, 2, 3))
    coefficients[0] += 700
    y, cb, cr = inverse(coefficients)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb]) + 128
    clamped = np.clip(rgb, 0, 255)
    assert (clamped != rgb).any()
    module = ToPixels(torch.ones(192))
    stored = torch.from_numpy(coefficients).float()[None]
    np.testing.assert_allclose(module.pixels(stored)[0].numpy(), clamped, atol=2e-3)
    pooled = clamped.reshape(3, 8, 2, 12, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(module(stored)[0].numpy(), (pooled / 255 - RGB_MEAN) / RGB_STD, atol=1e-4)


def test_pixels_need_all_channels():
    with pytest.raises(ValueError, match="192"):
        ToPixels(torch.ones(24))

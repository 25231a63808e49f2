"""Pixels made on the device against Pillow's conversion and scipy's inverse DCT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from freqcache.transforms import ToPixels
from tests.transforms.spectra import forward, inverse

RGB_MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]
RGB_STD = np.array([0.229, 0.224, 0.225])[:, None, None]


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

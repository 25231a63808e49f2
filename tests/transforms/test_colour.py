"""Colours of coefficients against torchvision's formulas on unclipped pixels, and Pillow's of photographs."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

import freqcache
from freqcache.transforms import ColourFactors, ColourJitter, RandomColour
from freqcache_formats.channels import Channel
from freqcache_formats.mask import ChannelMask
from tests.transforms.spectra import forward, inverse, rgb_from_ycc, ycc_from_rgb

ALL = ChannelMask.preset("192")
COLOUR = RandomColour(ALL, ColourJitter())
SAMPLES = sorted((Path(freqcache.__file__).parent / "samples" / "flowers" / "val").rglob("*.jpg"))[::8]
NAMES = ("brightness", "contrast", "saturation")
factor_values = st.floats(0, 2, width=32)


def gray(rgb):
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


def blend(rgb, other, ratio):
    """torchvision's ``_blend``, without its clipping."""
    return ratio * rgb + (1 - ratio) * other


# torchvision's adjust_brightness, adjust_contrast, adjust_saturation on (3, h, w) in 0..255.
PIXELS = {
    "brightness": lambda rgb, ratio: blend(rgb, 0.0, ratio),
    "contrast": lambda rgb, ratio: blend(rgb, gray(rgb).mean(), ratio),
    "saturation": lambda rgb, ratio: blend(rgb, gray(rgb), ratio),
}
PILLOW = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def factors(*images):
    """ColourFactors of one dictionary of names and values for each image."""
    return ColourFactors(**{name: torch.tensor([image.get(name, 1.0) for image in images]) for name in NAMES})


def coefficients(rgb):
    return torch.from_numpy(forward(ycc_from_rgb(rgb)))[None].float()


def adjusted(rgb, **values):
    """RGB of (3, h, w) pixels whose coefficients got these factors."""
    changed = COLOUR.adjust(coefficients(rgb), factors(values))
    return rgb_from_ycc(inverse(changed[0].double().numpy()))


def photograph(path):
    """(3, h, w) uint8, whole blocks."""
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"))
    return rgb[: rgb.shape[0] // 8 * 8, : rgb.shape[1] // 8 * 8].transpose(2, 0, 1)


@settings(max_examples=30, deadline=None)
@given(values=st.fixed_dictionaries(dict.fromkeys(NAMES, factor_values)), seed=st.integers(0, 99))
def test_factors_do_what_the_formulas_do_to_pixels_in_any_order(values, seed):
    rgb = np.random.default_rng(seed).uniform(0, 255, (3, 16, 24))
    found = COLOUR.adjust(coefficients(rgb), factors(values))[0].numpy()
    for order in permutations(NAMES):
        pixels, one_by_one = rgb, coefficients(rgb)
        for name in order:
            pixels = PIXELS[name](pixels, values[name])
            one_by_one = COLOUR.adjust(one_by_one, factors({name: values[name]}))
        np.testing.assert_allclose(found, forward(ycc_from_rgb(pixels)), rtol=1e-6, atol=2e-3)
        np.testing.assert_allclose(found, one_by_one[0].numpy(), rtol=1e-6, atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_each_image_has_its_own_factor(name):
    rgb = np.random.default_rng(5).uniform(0, 255, (4, 3, 16, 8))
    ratios = (0.0, 0.5, 1.0, 1.75)
    batch = torch.cat([coefficients(image) for image in rgb])
    found = COLOUR.adjust(batch, factors(*({name: ratio} for ratio in ratios)))
    for image, coefs, ratio in zip(rgb, found, ratios, strict=True):
        expected = forward(ycc_from_rgb(PIXELS[name](image, ratio)))
        np.testing.assert_allclose(coefs.numpy(), expected, rtol=1e-6, atol=1e-3)
    assert torch.equal(found[2], batch[2])


def test_saturation_0_is_gray():
    rgb = np.random.default_rng(6).uniform(0, 255, (3, 16, 8))
    found = COLOUR.adjust(coefficients(rgb), factors({"saturation": 0.0}))[0]
    np.testing.assert_allclose(found.numpy(), forward(ycc_from_rgb(np.stack([gray(rgb)] * 3))), atol=1e-3)
    assert (found[64:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.3, 2.0])
def test_pillow_differs_by_its_rounding_and_clipping_only(name, ratio):
    # Pillow cuts the fraction off (up to 1 level), rounds the gray it blends with (0.5), and for contrast the mean of
    # that gray once more (0.5). Clipped after, our pixels have to be as near as that everywhere.
    of_gray = {"brightness": 0.0, "contrast": 1.0, "saturation": 0.5}[name] * abs(1 - ratio)
    clipped = 0.0
    for path in SAMPLES:
        rgb = photograph(path)
        enhanced = PILLOW[name](Image.fromarray(rgb.transpose(1, 2, 0))).enhance(ratio)
        ours = adjusted(rgb, **{name: ratio})
        difference = np.clip(ours, 0, 255) - np.asarray(enhanced).transpose(2, 0, 1)
        assert difference.min() > -of_gray - 0.01
        assert difference.max() < 1 + of_gray + 0.01
        clipped += np.mean((ours < -1) | (ours > 256))
    assert (clipped > 0) == (ratio > 1)


def test_a_chain_of_pillow_differs_by_rounding_where_nothing_clips():
    values = {"brightness": 1.1, "contrast": 0.85, "saturation": 1.2}
    # Each of the steps cuts off up to 1 level, and scales what came before; contrast's gray is off by what the step
    # before cut off besides its own rounding.
    bound = 1.0
    bound = 0.85 * bound + 0.15 * (bound + 1) + 1
    bound = 1.2 * bound + 0.2 * (bound + 0.5) + 1
    for path in SAMPLES:
        rgb = (70 + photograph(path) * 0.4).astype(np.uint8)  # away from black and white
        image = Image.fromarray(rgb.transpose(1, 2, 0))
        for name, ratio in values.items():
            image = PILLOW[name](image).enhance(ratio)
        ours = adjusted(rgb, **values)
        assert ours.min() > 0
        assert ours.max() < 255
        assert np.abs(ours - np.asarray(image).transpose(2, 0, 1)).max() < bound
    assert bound < 5.3


@settings(max_examples=20, deadline=None)
@given(
    indices=st.sets(st.integers(0, 191), min_size=1, max_size=12),
    values=st.fixed_dictionaries(dict.fromkeys(NAMES, factor_values)),
)
def test_masking_commutes(indices, values):
    mask = ChannelMask.from_indices(indices)
    full = torch.randn(1, 192, 2, 3, generator=torch.Generator().manual_seed(0)) * 100
    kept = torch.from_numpy(mask.indices)
    found = RandomColour(mask, ColourJitter()).adjust(full[:, kept], factors(values))
    torch.testing.assert_close(found, COLOUR.adjust(full, factors(values))[:, kept])


def test_affine_is_what_the_module_applies():
    mask = ChannelMask.preset("24")
    x = torch.randn(2, 24, 3, 4, generator=torch.Generator().manual_seed(0)) * 100
    given_factors = factors({"brightness": 0.5, "contrast": 1.5}, {"saturation": 0.25})
    scale, offset, mean_weight = given_factors.affine(mask)
    assert scale.shape == offset.shape == (2, 24)
    assert scale.dtype == offset.dtype == mean_weight.dtype == torch.float32
    expected = x * scale[:, :, None, None] + offset[:, :, None, None]
    assert mask.channels[0] == Channel("Y", 0, 0)
    expected[:, 0] += (mean_weight * x[:, 0].mean((1, 2)))[:, None, None]
    found = RandomColour(mask, ColourJitter()).adjust(x, given_factors)
    torch.testing.assert_close(found, expected)


def test_draws_are_uniform_in_their_ranges():
    jitter = ColourJitter(brightness=0.4, contrast=0.2, saturation=1.5, grayscale=0.25)
    drawn = jitter.draw(4000, torch.Generator().manual_seed(0))
    is_gray = drawn.saturation == 0
    assert 900 < int(is_gray.sum()) < 1100
    for values, low, high in (
        (drawn.brightness, 0.6, 1.4),
        (drawn.contrast, 0.8, 1.2),
        (drawn.saturation[~is_gray], 0.0, 2.5),
    ):
        assert values.dtype == torch.float32
        share = ((values - low) / (high - low)).sort().values
        assert share[0] >= 0
        assert share[-1] <= 1
        # Kolmogorov's distance to the uniform distribution, at a level of about 1e-4.
        assert (share - torch.linspace(0, 1, len(share))).abs().max() < 2.2 / len(share) ** 0.5


def test_one_option_does_not_change_what_another_draws():
    some = ColourJitter(brightness=0.4).draw(9, torch.Generator().manual_seed(1))
    more = ColourJitter(brightness=0.4, contrast=0.5, grayscale=0.9).draw(9, torch.Generator().manual_seed(1))
    assert torch.equal(some.brightness, more.brightness)
    assert (some.contrast == 1).all()
    assert (some.saturation == 1).all()
    assert not (more.contrast == 1).any()


def test_forward_applies_what_the_generator_draws():
    x = torch.randn(5, 192, 2, 2, generator=torch.Generator().manual_seed(0)) * 100
    jitter = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2)
    module = RandomColour(ALL, jitter)
    found = module(x, torch.Generator().manual_seed(7))
    assert torch.equal(found, module.adjust(x, jitter.draw(5, torch.Generator().manual_seed(7))))
    assert not torch.equal(found, module(x, torch.Generator().manual_seed(8)))
    assert torch.equal(RandomColour(ALL, ColourJitter())(x), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brightness": -0.1}, "brightness must not be negative, found -0.1"),
        ({"contrast": float("nan")}, "contrast must not be negative, found nan"),
        ({"grayscale": 1.5, "saturation": -1}, r"saturation .* found -1; grayscale .* in 0\.\.1, found 1.5"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ColourJitter(**options)


def test_stored_integers_and_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"torch\.int8"):
        COLOUR(torch.zeros(1, 192, 2, 2, dtype=torch.int8))
    with pytest.raises(ValueError, match=r"192 channels, found torch\.float32 of shape \(1, 24, 2, 2\)"):
        COLOUR(torch.zeros(1, 24, 2, 2))

"""Mixed coefficients against the DCT of mixed pixels, and scipy's Beta distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from freqcache.transforms import CutMix, Mixup, Normalize
from tests.transforms.spectra import forward, ycc_from_rgb

RGB = np.random.default_rng(0).uniform(0, 255, (5, 3, 48, 64))
LABELS = torch.tensor([3, 0, 4, 1, 2])  # neighbours differ: targets tell the share


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def spectra(rgb):
    return np.stack([forward(ycc_from_rgb(image)) for image in rgb])


X = torch.from_numpy(spectra(RGB)).float()


def assert_targets(targets, labels, share, classes=5):
    expected = np.zeros((len(labels), classes))
    for i, label in enumerate(labels):
        expected[i, label] += share
        expected[i, labels[i - 1]] += 1 - share
    assert targets.dtype == torch.float32
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_mixup_is_mixup_of_pixels(alpha):
    shares = set()
    for seed in range(4):
        mixed, targets = Mixup(alpha, 5)(X, LABELS, seeded(seed))
        share = float(targets[0, LABELS[0]])
        assert_targets(targets, LABELS.tolist(), share)
        pixels = share * RGB + (1 - share) * np.roll(RGB, 1, axis=0)
        np.testing.assert_allclose(mixed.numpy(), spectra(pixels), rtol=1e-5, atol=1e-3)
        shares.add(share)
    assert len(shares) == 4


def test_mixup_commutes_with_normalization():
    rng = np.random.default_rng(1)
    numbers = (rng.normal(0, 50, 192), rng.uniform(1, 90, 192), rng.uniform(1, 16, 192))
    normalize = Normalize(*(torch.from_numpy(v).float() for v in numbers))
    before, after = (Mixup(1.0, 5)(x, LABELS, seeded())[0] for x in (X, normalize(X)))
    torch.testing.assert_close(normalize(before), after, rtol=1e-5, atol=1e-3)


def test_mixup_of_integers_is_float():
    stored = torch.randint(-127, 128, (5, 6, 2, 3), generator=seeded(), dtype=torch.int8)
    mixed, _ = Mixup(1.0, 5)(stored, LABELS, seeded())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, Mixup(1.0, 5)(stored.float(), LABELS, seeded())[0])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_cutmix_is_cutmix_of_pixels_on_whole_blocks(alpha):
    areas = set()
    for seed in range(12):
        mixed, targets = CutMix(alpha, 5)(X, LABELS, seeded(seed))
        is_other = (mixed != X).any(1)  # (B, 6, 8); no two random blocks are equal
        assert (is_other == is_other[0]).all()
        rows, cols = np.nonzero(is_other[0].numpy())
        pixels = RGB.copy()
        if len(rows):
            inside = (..., slice(8 * rows.min(), 8 * rows.max() + 8), slice(8 * cols.min(), 8 * cols.max() + 8))
            pixels[inside] = np.roll(RGB, 1, axis=0)[inside]
        np.testing.assert_allclose(mixed.numpy(), spectra(pixels), rtol=1e-5, atol=1e-3)
        assert_targets(targets, LABELS.tolist(), 1 - len(rows) / 48)
        areas.add(len(rows))
    assert len(areas) > 3


def test_cutmix_cuts_pixels_at_the_same_blocks():
    x = torch.arange(3.0)[:, None, None, None].expand(3, 1, 7, 9)
    for seed in range(5):
        blocks, targets = CutMix(1.0, 3)(x, torch.arange(3), seeded(seed))
        pixels, same = CutMix(1.0, 3, step=4)(
            x.repeat_interleave(4, 2).repeat_interleave(4, 3), torch.arange(3), seeded(seed)
        )
        assert torch.equal(pixels, blocks.repeat_interleave(4, 2).repeat_interleave(4, 3))
        assert torch.equal(targets, same)


def test_cutmix_has_its_centre_anywhere():
    module = CutMix(1e8, 2)  # a share of one half, but for a few parts in 100,000
    edges = torch.cat([module.draw((64, 32), seeded(seed)) for seed in range(600)], 1)
    top, bottom, left, right = edges.numpy()
    assert (bottom - top).max() == round(64 * 0.5**0.5) == 45
    assert (right - left).max() == round(32 * 0.5**0.5) == 23
    assert (top.min(), left.min(), bottom.max(), right.max()) == (0, 0, 64, 32)
    # Of a rectangle that is whole, the centre is its first row and half its height further.
    whole = (bottom - top == 45) & (top > 0)
    assert set(top[whole] + 22) >= set(range(24, 41))
    assert (bottom - top).min() == 64 - 63 + 22  # the centre in the last row


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 4.0])
def test_shares_have_the_beta_distribution(alpha):
    x, labels = torch.zeros(2, 1, 1, 1), torch.tensor([0, 1])
    generator = seeded(3)
    shares = np.array([float(Mixup(alpha, 2)(x, labels, generator)[1][0, 0]) for _ in range(2000)])
    # As Kolmogorov's test at a level of 1e-3, but off the ends: with a small alpha shares round to 1 there.
    at = np.linspace(0.01, 0.99, 99)
    found = (shares[:, None] <= at).mean(0)
    assert np.abs(found - stats.beta(alpha, alpha).cdf(at)).max() < 1.95 / 2000**0.5


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_same_labels_stay_whole(kind):
    labels = torch.ones(5, dtype=torch.int64)
    _, targets = kind(1.0, 3)(X, labels, seeded())
    torch.testing.assert_close(targets, torch.tensor([[0.0, 1.0, 0.0]]).expand(5, 3))


@pytest.mark.parametrize("kind", [Mixup, CutMix])
@pytest.mark.parametrize(
    ("alpha", "classes", "message"),
    [
        (0.0, 5, "alpha must be positive, found 0.0"),
        (float("nan"), 5, "alpha must be positive, found nan"),
        (1.0, 1, "at least 2 classes, found 1"),
    ],
)
def test_options_are_checked(kind, alpha, classes, message):
    with pytest.raises(ValueError, match=message):
        kind(alpha, classes)


@pytest.mark.parametrize("kind", [Mixup, CutMix])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, -1, 2, 3]), "label -1 of image 2 is outside 0..4"),
        (torch.tensor([0, 1, 2, 3, 5]), "label 5 of image 4 is outside 0..4"),
        (torch.tensor([0, 1]), r"5 integer labels, found torch.int64 of shape \(2,\)"),
        (torch.zeros(5), "5 integer labels, found torch.float32"),
    ],
)
def test_labels_are_checked(kind, labels, message):
    with pytest.raises(ValueError, match=message):
        kind(1.0, 5)(X, labels)

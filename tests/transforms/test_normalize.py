"""Normalization against its formula."""

from __future__ import annotations

import numpy as np
import torch

from freqcache.transforms import Normalize


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

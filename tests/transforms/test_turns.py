"""Turned coefficients against scipy's DCT of turned pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.transforms import RandomQuarterTurn
from freqcache_formats.channels import Channel
from freqcache_formats.mask import ChannelMask
from tests.transforms.spectra import forward, inverse

ALL = ChannelMask.preset("192")


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 3, 6])
def test_turn_is_the_spectrum_of_the_turned_image(k):
    planes = np.random.default_rng(1).uniform(-128, 127, (3, 16, 40))
    turned = RandomQuarterTurn(ALL).turn(torch.from_numpy(forward(planes))[None], k)
    np.testing.assert_allclose(turned[0].numpy(), forward(np.rot90(planes, k, (1, 2))), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    indices=st.sets(st.integers(0, 191), min_size=1, max_size=12),
    rows=st.integers(1, 4),
    cols=st.integers(1, 5),
    turns=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dtype=st.sampled_from([torch.int8, torch.int16, torch.float32]),
)
def test_turns_add_up_four_are_the_identity_and_masking_commutes(indices, rows, cols, turns, dtype):
    channels = [Channel.from_index(i) for i in indices]
    mask = ChannelMask.of(channels + [Channel(c.component, c.u, c.v) for c in channels])
    full = torch.from_numpy(np.random.default_rng(rows).integers(-127, 128, (2, 192, rows, cols))).to(dtype)
    kept = torch.from_numpy(mask.indices)
    x = full[:, kept]
    turn = RandomQuarterTurn(mask).turn
    assert torch.equal(turn(turn(turn(turn(x, 1), 1), 1), 1), x)
    assert torch.equal(turn(turn(x, turns[0]), turns[1]), turn(x, sum(turns)))
    assert torch.equal(turn(x, turns[0]), RandomQuarterTurn(ALL).turn(full, turns[0])[:, kept])
    assert turn(x, turns[0]).dtype == dtype


def test_steps_travel_with_their_frequencies():
    rng = np.random.default_rng(2)
    stored = torch.from_numpy(rng.integers(-127, 128, (1, 192, 2, 3), dtype=np.int8))
    scale = rng.uniform(1, 30, 192)
    module = RandomQuarterTurn(ALL, scale=torch.from_numpy(scale).float())
    pixels = inverse(stored[0].numpy() * scale[:, None, None])
    for k in range(4):
        found = module.turn(stored, k)
        assert found.dtype == torch.float32
        expected = forward(np.rot90(pixels, k, (1, 2)))
        np.testing.assert_allclose(found[0].numpy() * scale[:, None, None], expected, rtol=1e-5, atol=1e-3)


def test_symmetric_steps_leave_integers():
    x = torch.randint(-127, 128, (3, 192, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.int8)
    scale = torch.tensor([1.0 + c.v + c.u for c in ALL.channels])
    module = RandomQuarterTurn(ALL, scale=scale)
    assert module(x).dtype == torch.int8
    assert torch.equal(module.turn(x, 1), RandomQuarterTurn(ALL).turn(x, 1))


def test_random_turns_are_equally_frequent_and_leave_their_input():
    x = torch.randint(-127, 128, (400, 192, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.int8)
    before = x.clone()
    module = RandomQuarterTurn(ALL)
    out = module(x, torch.Generator().manual_seed(0))
    is_turned = torch.stack([(out == module.turn(x, k)).flatten(1).all(1) for k in range(4)])
    assert (is_turned.sum(0) == 1).all()
    assert all(70 < int(n) < 130 for n in is_turned.sum(1))
    assert torch.equal(x, before)
    assert torch.equal(module(x, torch.Generator().manual_seed(0)), out)


def test_only_half_turns_fit_an_oblong_grid():
    x = torch.randn(20, 192, 2, 3, generator=torch.Generator().manual_seed(0))
    module = RandomQuarterTurn(ALL, turns=(0, 2))
    out = module(x, torch.Generator().manual_seed(0))
    is_half = torch.tensor([torch.equal(a, b) for a, b in zip(out, module.turn(x, 2), strict=True)])
    is_same = torch.tensor([torch.equal(a, b) for a, b in zip(out, x, strict=True)])
    assert (is_half ^ is_same).all()
    assert 0 < int(is_half.sum()) < 20
    with pytest.raises(ValueError, match="2 rows and 3 columns"):
        RandomQuarterTurn(ALL)(x)


@pytest.mark.parametrize("name", ["6", "24", "48", "192"])
def test_presets_that_can_be_turned(name):
    mask = ChannelMask.preset(name)
    assert RandomQuarterTurn(mask)(torch.ones(2, len(mask), 3, 3)).shape == (2, len(mask), 3, 3)


@pytest.mark.parametrize(
    ("name", "missing"), [("24-learned", r"lacks Y\(5,0\)$"), ("32", r"lacks Cb\(2,0\), Cr\(2,0\)$")]
)
def test_the_missing_channel_is_named(name, missing):
    with pytest.raises(ValueError, match=missing):
        RandomQuarterTurn(ChannelMask.preset(name))


def test_options_are_checked():
    with pytest.raises(ValueError, match=r"0\.\.3, found \(\)"):
        RandomQuarterTurn(ALL, turns=())
    with pytest.raises(ValueError, match=r"0\.\.3, found \(0, 4\)"):
        RandomQuarterTurn(ALL, turns=(0, 4))
    with pytest.raises(ValueError, match=r"192 channels, found shape \(24,\)"):
        RandomQuarterTurn(ALL, scale=torch.ones(24))

"""Rank correlations and Jaccard indices against the formulas by hand."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.selection import agreement, frequency_index, jaccard, rank_correlation
from freqcache.selection.agreement import chance_jaccard
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.mask import ChannelMask


def placed(values, first=0):
    whole = np.full(192, np.nan)
    whole[first : first + len(values)] = values
    return whole


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(12)))
def test_without_ties_it_is_the_sum_of_squared_differences(order):
    found = rank_correlation("x", placed(np.arange(12.0) ** 3), placed(np.exp(np.array(order, dtype=float))))
    squares = sum((rank - other) ** 2 for rank, other in enumerate(order))
    assert found.rho == pytest.approx(1 - 6 * squares / (12 * (144 - 1)))
    assert found.channels == 12
    assert found.note == ""


def test_ties_take_the_mean_of_their_ranks():
    a, b = [1.0, 2.0, 2.0, 3.0], [5.0, 1.0, 7.0, 7.0]
    ranks_a, ranks_b = np.array([1, 2.5, 2.5, 4]), np.array([2, 1, 3.5, 3.5])
    da, db = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    expected = (da * db).sum() / np.sqrt((da**2).sum() * (db**2).sum())
    assert rank_correlation("x", placed(a), placed(b)).rho == pytest.approx(expected)


def test_only_channels_with_both_numbers_count():
    a, b = placed(np.arange(40.0)), placed(-np.arange(40.0), first=20)
    found = rank_correlation("x", a, b)
    assert found.channels == 20
    assert found.rho == pytest.approx(-1)
    few = rank_correlation("x", placed([1.0, 2.0]), placed([1.0, 2.0]))
    assert np.isnan(few.rho)
    assert few.note == "only 2 channels have both numbers"


def test_a_constant_has_no_order_however_it_is_rounded():
    """The deviation after a float32 normalization is 1 +- 1e-7: scipy would rank the rounding."""
    rng = np.random.default_rng(0)
    noise = 1 + rng.uniform(-1e-7, 1e-7, 192)
    found = rank_correlation("deviation", rng.random(192), noise)
    assert np.isnan(found.rho)
    assert found.note == "no order: it is 1 for every channel"
    assert all(np.isnan(rho) for rho in found.within)
    assert rank_correlation("x", np.full(192, 0.5), noise * rng.random(192)).note.startswith("no order: the ranking is")


def test_what_is_nearly_constant_is_said():
    values, ones = np.arange(192.0), np.ones(192)
    ones[:8] = 0
    found = rank_correlation("x", values, ones)
    assert found.rho > 0
    assert found.note == "184 of 192 channels are tied at 1"


def test_within_components():
    """A preference for chroma over all of luma hides that low frequencies come first in each of them."""
    frequency = frequency_index()
    preference = -frequency + np.repeat([0.0, 100.0, 200.0], 64)
    found = rank_correlation("frequency", preference, frequency)
    assert found.within == pytest.approx((-1, -1, -1))
    assert -0.5 < found.rho < 0


def test_frequency_index_counts_both_directions():
    for index, channel in enumerate(ALL_CHANNELS):
        assert frequency_index()[index] == channel.u + channel.v
    assert frequency_index().max() == 14


masks = st.sets(st.integers(0, 191), min_size=1).map(ChannelMask.from_indices)


@given(a=masks, b=masks)
def test_jaccard_counts_channels(a, b):
    first, second = np.zeros(192, bool), np.zeros(192, bool)
    first[a.indices], second[b.indices] = True, True
    assert jaccard(a, b) == (first & second).sum() / (first | second).sum()
    assert jaccard(a, a) == 1
    assert jaccard(a, b) == jaccard(b, a)


def test_agreement_is_every_pair():
    named = [("a", ChannelMask.preset("6")), ("b", ChannelMask.preset("24")), ("c", ChannelMask.preset("192"))]
    found = agreement(named)
    assert found.names == ("a", "b", "c")
    np.testing.assert_allclose(found.matrix, [[1, 6 / 24, 6 / 192], [6 / 24, 1, 24 / 192], [6 / 192, 24 / 192, 1]])
    assert found.mean == pytest.approx((6 / 24 + 6 / 192 + 24 / 192) / 3)
    with pytest.raises(ValueError, match="two or more"):
        agreement(named[:1])


@pytest.mark.parametrize(("a", "b"), [(1, 1), (24, 24), (6, 150), (192, 24), (100, 100)])
def test_chance_is_the_mean_over_random_masks(a, b):
    ways = [comb(a, c) * comb(192 - a, b - c) for c in range(b + 1)]
    expected = sum(way * c / (a + b - c) for c, way in enumerate(ways)) / comb(192, b)
    assert chance_jaccard(a, b) == pytest.approx(expected)


def test_the_mean_of_chances_is_over_the_pairs():
    sizes = (5, 24, 60)
    named = [(str(n), ChannelMask.from_indices(range(n))) for n in sizes]
    expected = np.mean([chance_jaccard(a, b) for a, b in combinations(sizes, 2)])
    assert agreement(named).chance == pytest.approx(expected)

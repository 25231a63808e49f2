"""Selection: ranking by probability, and refusing a ranking that decides nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from freqcache.errors import TrainingError
from freqcache.selection import (
    ChannelProbabilities,
    Ranking,
    random_ranking,
    select_by_budget,
    select_by_threshold,
    select_top_k,
)
from freqcache_formats.channels import Channel
from freqcache_formats.mask import CacheReference, ChannelMask


def pooled(values, open_share=None, indices=None):
    values = np.asarray(values, dtype=np.float64)
    share = (values > 0.5).astype(np.float64) if open_share is None else np.asarray(open_share, dtype=np.float64)
    where = np.arange(len(values)) if indices is None else np.asarray(indices)
    return ChannelProbabilities.of(where, values, share, images=10, source="runs/x")


def spread(seed=0):
    return np.random.default_rng(seed).permutation(np.linspace(0.2, 0.9, 192))


def test_top_k_is_the_k_most_probable():
    values = spread()
    selection = select_top_k(pooled(values), 24, cache=CacheReference(path="/c.zarr", id="i"))
    assert set(selection.mask.indices) == set(np.argsort(values)[-24:])
    assert selection.margin == pytest.approx((0.9 - 0.2) / 191)
    assert selection.warnings == ()
    assert selection.mask.cache == CacheReference(path="/c.zarr", id="i")


def test_provenance_is_written_and_read_back(tmp_path):
    values = spread()
    mask = select_top_k(pooled(values), 6).mask
    mask.write(tmp_path / "mask.json")
    again = ChannelMask.read(tmp_path / "mask.json")
    assert again == mask
    assert again.selection["run"] == "runs/x"
    assert again.selection["k"] == 6
    assert len(again.selection["probabilities"]) == 192
    for index in (0, 1, 70, 191):
        written = again.selection["probabilities"][str(Channel.from_index(index))]
        assert written == pytest.approx(values[index], abs=5e-7)


@settings(max_examples=30, deadline=None)
@given(values=hnp.arrays(np.float64, 192, elements=st.floats(0.001, 0.999), unique=True), k=st.integers(1, 191))
def test_a_mask_never_leaves_out_a_clearly_more_probable_channel(values, k):
    try:
        selection = select_top_k(pooled(values), k)
    except TrainingError:
        ranked = np.sort(values)[::-1]
        # Only these two reasons to refuse: neighbours at the cut, or no spread at all.
        assert ranked[k - 1] - ranked[k] <= 2e-6 or ranked[0] - ranked[-1] < 1e-3
        return
    kept = np.zeros(192, dtype=bool)
    kept[selection.mask.indices] = True
    assert kept.sum() == k
    assert values[kept].min() > values[~kept].max()


def test_ties_at_the_cut_are_refused_and_counted():
    values = np.full(192, 0.3)
    values[:20] = 0.8
    values[40:50] = 0.6
    with pytest.raises(TrainingError, match=r"10 channels tie at the cut.*20 or 30 channels"):
        select_top_k(pooled(values), 24)
    assert len(select_top_k(pooled(values), 20).mask) == 20
    assert len(select_top_k(pooled(values), 30).mask) == 30


def test_a_flat_ranking_is_refused():
    with pytest.raises(TrainingError, match="degenerate"):
        select_top_k(pooled(0.87 + 2e-4 * spread()), 24)


def test_allowed_ties_go_to_low_frequencies_and_are_said():
    selection = select_top_k(pooled(np.full(192, 0.87), open_share=np.ones(192)), 6, allow_ties=True)
    assert selection.mask.channels == ChannelMask.from_indices([0, 1, 64, 65, 128, 129]).channels
    assert any("degenerate" in warning for warning in selection.warnings)
    assert any("nothing has closed" in warning for warning in selection.warnings)
    assert list(selection.warnings) == selection.mask.selection["warnings"]


def test_hard_decisions_do_not_rank():
    values = spread() * 0.3 + 0.6
    selection = select_top_k(pooled(values, open_share=np.ones(192)), 24)
    assert set(selection.mask.indices) == set(np.argsort(values)[-24:])


def test_nothing_and_everything_closed_are_said():
    values = spread()
    (nothing,) = pooled(values * 0.3 + 0.6, open_share=np.ones(192)).warnings()
    (everything,) = pooled(values * 0.3, open_share=np.zeros(192)).warnings()
    assert nothing.startswith("nothing has closed: all 192 gates")
    assert everything.startswith("everything has closed")
    (undecided,) = pooled(values * 0.4, open_share=np.full(192, 0.02)).warnings()
    assert undecided.startswith("the gates have not decided: 3.8 of 192")
    assert pooled(values).warnings() == ()


def test_only_gated_channels_are_ranked():
    indices = ChannelMask.preset("24").indices
    values = np.linspace(0.2, 0.8, 24)
    probabilities = pooled(values, indices=indices)
    assert set(select_top_k(probabilities, 5).mask.indices) == set(indices[-5:])
    with pytest.raises(TrainingError, match="25 channels of 24"):
        select_top_k(probabilities, 25)
    assert len(select_top_k(probabilities, 24).mask) == 24


def test_threshold_keeps_what_is_above():
    values = spread()
    selection = select_by_threshold(pooled(values), 0.7)
    assert set(selection.mask.indices) == set(np.flatnonzero(values > 0.7))
    with pytest.raises(TrainingError, match=r"above 0\.95; the highest is 0\.9"):
        select_by_threshold(pooled(values), 0.95)
    assert any("every one of the 192" in w for w in select_by_threshold(pooled(values), 0.1).warnings)


def ranking(values):
    return Ranking(name="energy", values=np.asarray(values, dtype=np.float64), source="c.zarr, split train")


@settings(max_examples=50, deadline=None)
@given(
    values=hnp.arrays(np.float64, 192, elements=st.floats(0.001, 1e6), unique=True),
    prices=hnp.arrays(np.float64, 192, elements=st.floats(1, 1000)),
    budget=st.floats(1, 200_000),
)
def test_a_budget_keeps_the_longest_prefix_that_fits(values, prices, budget):
    """By a walk along the sorted channels that stops at the first one too dear, even before cheaper ones."""
    descending = np.argsort(-values)
    prefix, spent = 0, 0.0
    for index in descending:
        if spent + prices[index] > budget:
            break
        spent, prefix = spent + prices[index], prefix + 1
    if prefix == 0:
        with pytest.raises(TrainingError, match="more than the budget"):
            select_by_budget(ranking(values), budget, lambda mask: prices[mask.indices].sum())
        return
    selection = select_by_budget(ranking(values), budget, lambda mask: prices[mask.indices].sum(), allow_ties=True)
    if abs(spent - budget) > 1e-6 and abs(prices[descending[: prefix + 1]].sum() - budget) > 1e-6:
        assert len(selection.mask) == prefix
    kept = set(selection.mask.indices.tolist())
    assert selection.bytes_per_image == pytest.approx(sum(prices[i] for i in kept))
    assert selection.bytes_per_image <= budget
    assert selection.mask.selection["budget"] == budget
    assert selection.mask.selection["bytes_per_image"] == pytest.approx(selection.bytes_per_image, abs=0.06)
    assert selection.mask.selection["k"] == len(kept)
    assert selection.mask.channels == select_top_k(ranking(values), len(kept), allow_ties=True).mask.channels


def test_a_channel_that_does_not_fit_ends_the_budget():
    values, prices = np.arange(192.0)[::-1].copy(), np.full(192, 10.0)
    prices[3] = 1000.0
    selection = select_by_budget(ranking(values), 500, lambda mask: prices[mask.indices].sum())
    assert selection.mask.indices.tolist() == [0, 1, 2]
    with pytest.raises(TrainingError, match=r"the first channel, Y\(0,0\), takes 10 bytes .* the budget of 9"):
        select_by_budget(ranking(values), 9, lambda mask: prices[mask.indices].sum())
    every = select_by_budget(ranking(values), 1e6, lambda mask: prices[mask.indices].sum())
    assert len(every.mask) == 192
    assert any("all 192 channels fit into the budget of 1,000,000 bytes" in warning for warning in every.warnings)


def test_a_budget_breaks_no_tie_in_silence():
    values = np.arange(192.0)[::-1].copy()
    values[10:20] = values[10]
    with pytest.raises(TrainingError, match=r"no mask of 15 channels: 10 channels tie at the cut .*10 or 20 channels"):
        select_by_budget(ranking(values), 15, lambda mask: float(len(mask)))
    allowed = select_by_budget(ranking(values), 15, lambda mask: float(len(mask)), allow_ties=True)
    assert len(allowed.mask) == 15
    assert any("tie at the cut" in warning for warning in allowed.warnings)
    assert len(select_by_budget(ranking(values), 20, lambda mask: float(len(mask))).mask) == 20


def test_energies_tie_by_rounding_whatever_their_size():
    values = 10.0 ** np.linspace(6, -3, 192)
    assert len(select_top_k(ranking(values), 190).mask) == 190  # 1e-3 apart in 1e6: no tie, small as they are
    values[100] = values[99] * (1 - 1e-12)
    with pytest.raises(TrainingError, match="2 channels tie at the cut with energy"):
        select_top_k(ranking(values), 100)
    with pytest.raises(TrainingError, match="degenerate"):
        select_top_k(ranking(np.full(192, 5.0)), 24)


def test_the_first_group_of_ties_leaves_one_clear_choice():
    values = np.zeros(192)
    values[:30] = 1.0
    with pytest.raises(TrainingError, match="30 channels tie at the cut with energy = 1; 30 channels would be"):
        select_top_k(ranking(values), 24)


def test_other_rankings_say_what_they_are_in_the_mask():
    mask = select_top_k(random_ranking(3), 10, size=224).mask
    assert mask.name == "random-10"
    assert mask.selection["method"] == "top-k of random"
    assert mask.selection["source"] == "seed 3"
    assert mask.selection["size"] == 224
    assert len(mask.selection["values"]) == 192
    assert ChannelMask.from_dict(mask.to_dict()) == mask

"""Orders and reading plans, in numbers alone: permutations, lanes, shares, portions; and how random orders are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.loading.order import ORDER_VERSION, Order, epoch_order, n_batches, share
from freqcache.loading.portions import plan_reads
from freqcache.loading.randomness import neighbour_distance, pairs_together

SIZES = st.lists(st.integers(1, 12), max_size=30)
ORDERS = st.sampled_from(["stored", "groups", "random"])


def grouped(sizes: list[int]) -> np.ndarray:
    """Row groups of so many samples, not numbered from 0 and with gaps, as those of a subset are."""
    return np.repeat(3 * np.arange(len(sizes)) + 5, sizes)


def lane_lengths(n: int, lanes: int) -> list[int]:
    return [len(range(lane, n, lanes)) for lane in range(lanes)]


@settings(deadline=None)
@given(
    sizes=SIZES,
    order=ORDERS,
    lanes=st.integers(1, 9),
    window=st.integers(1, 60),
    seed=st.integers(0, 2**70),
    epoch=st.integers(0, 1000),
)
def test_every_order_is_a_permutation_and_the_same_again(
    sizes: list[int], order: Order, lanes: int, window: int, seed: int, epoch: int
) -> None:
    groups = grouped(sizes)
    found, again = (
        epoch_order(groups, order, seed=seed, epoch=epoch, lanes=lanes, window=window).tolist() for _ in range(2)
    )
    assert sorted(found) == list(range(len(groups)))
    assert found == again


@settings(deadline=None)
@given(
    sizes=SIZES,
    order=st.sampled_from(["stored", "groups"]),
    lanes=st.integers(1, 9),
    window=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_lanes_share_no_row_group_but_those_that_are_cut(
    sizes: list[int], order: Order, lanes: int, window: int, seed: int
) -> None:
    groups = grouped(sizes)
    found = epoch_order(groups, order, seed=seed, epoch=0, lanes=lanes, window=window)
    streams = [groups[found[lane::lanes]] for lane in range(lanes)]
    assert [len(stream) for stream in streams] == lane_lengths(len(groups), lanes)
    # A cut makes one row group more to read, and there is a cut between two lanes.
    reads = sum(len(np.unique(stream)) for stream in streams)
    assert reads <= len(sizes) + max(0, min(lanes, len(groups)) - 1)


@settings(deadline=None)
@given(sizes=SIZES, lanes=st.integers(1, 4), window=st.integers(1, 60), seed=st.integers(0, 99))
def test_a_lane_is_windows_of_whole_row_groups(sizes: list[int], lanes: int, window: int, seed: int) -> None:
    """At any place of a lane, only few samples wait: those of row groups that were begun, about a window."""
    groups = grouped(sizes)
    found = epoch_order(groups, "groups", seed=seed, epoch=0, lanes=lanes, window=window)
    for lane in range(lanes):
        stream = groups[found[lane::lanes]]
        _, first, number = np.unique(stream, return_index=True, return_inverse=True)
        last = np.zeros(len(first), dtype=int)
        np.maximum.at(last, number, np.arange(len(stream)))
        assert np.all(last - first < window + 2 * max(sizes, default=0))


def test_stored_without_lanes_is_the_store() -> None:
    assert epoch_order(grouped([3, 4, 2]), "stored", seed=1, epoch=2).tolist() == list(range(9))
    assert epoch_order(grouped([3, 4, 2]), "stored", seed=1, epoch=2, lanes=2).tolist() == [0, 5, 1, 6, 2, 7, 3, 8, 4]


@pytest.mark.parametrize("order", ["groups", "random"])
def test_seed_and_epoch_change_a_shuffled_order(order: Order) -> None:
    groups = grouped([16] * 10)
    runs = [(0, 0), (0, 1), (1, 0), (1, 1), (2**40, 0)]
    found = {tuple(epoch_order(groups, order, seed=seed, epoch=epoch).tolist()) for seed, epoch in runs}
    assert len(found) == len(runs)


GOLDEN: list[tuple[Order, int, int, int, int, list[int]]] = [
    ("groups", 0, 0, 1, 1024, [4, 15, 6, 16, 1, 13, 14, 3, 9, 7, 8, 0, 11, 5, 2, 12, 10]),
    ("groups", 0, 1, 1, 6, [15, 5, 6, 13, 4, 16, 14, 10, 7, 11, 8, 9, 1, 3, 0, 2, 12]),
    ("groups", 7, 3, 3, 4, [9, 16, 0, 7, 14, 3, 10, 15, 6, 11, 5, 1, 8, 4, 2, 13, 12]),
    ("random", 0, 0, 1, 1024, [11, 3, 13, 2, 15, 1, 8, 6, 0, 7, 14, 4, 10, 12, 16, 5, 9]),
    ("random", 5, 2, 2, 8, [4, 7, 9, 16, 6, 0, 8, 1, 12, 15, 11, 5, 10, 13, 2, 3, 14]),
    ("stored", 5, 2, 2, 8, [0, 9, 1, 10, 2, 11, 3, 12, 4, 13, 5, 14, 6, 15, 7, 16, 8]),
]


@pytest.mark.parametrize(("order", "seed", "epoch", "lanes", "window", "expected"), GOLDEN)
def test_orders_are_those_of_their_version(
    order: Order, seed: int, epoch: int, lanes: int, window: int, expected: list[int]
) -> None:
    """A state saved by another release means a place in these. Whoever changes one raises ORDER_VERSION."""
    assert ORDER_VERSION == 1
    found = epoch_order(grouped([4, 3, 5, 1, 4]), order, seed=seed, epoch=epoch, lanes=lanes, window=window)
    assert found.tolist() == expected


@settings(deadline=None)
@given(n=st.integers(0, 60), done=st.integers(0, 60), world=st.integers(1, 7))
def test_ranks_share_what_is_left(n: int, done: int, world: int) -> None:
    order = np.random.default_rng(0).permutation(n)
    shares = [share(order, consumed=min(done, n), rank=rank, world_size=world) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(order[min(done, n) :].tolist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    # Batch by batch, all ranks together go from the front to the back.
    step = [sample for turn in zip(*shares, strict=False) for sample in turn]
    assert step == order[min(done, n) :][: len(step)].tolist()


@settings(deadline=None)
@given(left=st.integers(0, 200), batch=st.integers(1, 20), world=st.integers(1, 7))
def test_batches_of_ranks(left: int, batch: int, world: int) -> None:
    def count(rank: int, drop_last: bool) -> int:
        return n_batches(left, batch, rank=rank, world_size=world, drop_last=drop_last)

    mine = [len(range(rank, left, world)) for rank in range(world)]
    assert [count(rank, True) for rank in range(world)] == [min(mine) // batch] * world
    assert [count(rank, False) for rank in range(world)] == [-(-n // batch) for n in mine]


@settings(deadline=None)
@given(
    sizes=SIZES,
    order=ORDERS,
    window=st.integers(1, 60),
    batch=st.integers(1, 40),
    least=st.integers(1, 60),
    ahead=st.booleans(),
    keep=st.integers(0, 2**32),
)
def test_each_row_group_is_read_once_and_in_time(
    sizes: list[int], order: Order, window: int, batch: int, least: int, ahead: bool, keep: int
) -> None:
    groups = grouped(sizes)
    # Any part of an epoch: what one of several ranks visits, or what is left of one.
    order_of_all = epoch_order(groups, order, seed=0, epoch=0, window=window)
    visits = groups[order_of_all[np.random.default_rng(keep).random(len(groups)) < 0.7]]
    plan = plan_reads(visits, batch, least=least, ahead=ahead)
    members = [plan.members(portion) for portion in range(len(plan.ends))]
    assert sorted(np.concatenate([np.empty(0, int), *members]).tolist()) == list(range(len(visits)))
    read = [group for portion in members for group in np.unique(visits[portion]).tolist()]
    assert len(read) == len(set(read)) == len(np.unique(visits))
    assert plan.largest == max(map(len, members), default=0) < least + max(sizes, default=1)
    assert all(len(portion) for portion in members)
    assert plan.n_batches == -(-len(visits) // batch)

    held: dict[int, np.ndarray] = {}
    seen: list[int] = []
    for due, places, gone in plan.batches():
        held |= {portion: members[portion] for portion in due}
        for visit, portion, row in zip(
            range(places.start, places.stop), plan.portion[places].tolist(), plan.row[places].tolist(), strict=True
        ):
            assert held[portion][row] == visit
            seen.append(visit)
        needed = set(plan.portion[places].tolist())
        assert ahead or needed >= set(due)
        for portion in gone:
            del held[portion]
    assert not held
    assert seen == list(range(len(visits)))


@settings(deadline=None)
@given(n_groups=st.integers(1, 300), window=st.integers(16, 512), batch=st.integers(1, 64))
def test_reading_ahead_is_even_and_bounded(n_groups: int, window: int, batch: int) -> None:
    groups = grouped([16] * n_groups)
    visits = groups[epoch_order(groups, "groups", seed=0, epoch=0, window=window)]
    lazy, ahead = (plan_reads(visits, batch, least=32, ahead=early) for early in (False, True))
    assert np.all(ahead.due <= lazy.due)
    # No more than what is needed now and another window: see the notes of FrequencyLoader.
    held, most, peak = 0, 2 * window + 4 * 32 + 2 * batch, 0
    for due, _, gone in ahead.batches():
        held += sum(len(ahead.members(portion)) for portion in due)
        peak = max(peak, held)
        held -= sum(len(ahead.members(portion)) for portion in gone)
    assert peak <= most
    # Once the first are there, a batch's reads are about a batch.
    reads = [sum(len(ahead.members(portion)) for portion in due) for due, _, _ in ahead.batches()]
    assert max(reads[1:], default=0) <= batch + 2 * 48


def test_a_full_shuffle_measures_one_and_the_store_far_less() -> None:
    groups = np.repeat(np.arange(500), 16)

    def measures(order: Order, window: int = 1024) -> tuple[float, float]:
        found = epoch_order(groups, order, seed=0, epoch=0, window=window)
        return pairs_together(found, groups, 256), neighbour_distance(found)

    together, distance = measures("random")
    assert 0.95 < together < 1.05
    assert 0.95 < distance < 1.05
    together, distance = measures("stored")
    assert together > 20
    assert distance < 0.001
    by_window = [measures("groups", window) for window in (256, 1024, 4096)]
    assert [pair for pair, _ in by_window] == sorted((pair for pair, _ in by_window), reverse=True)
    assert [distance for _, distance in by_window] == sorted(distance for _, distance in by_window)
    for together, distance in by_window:
        assert 1.5 < together < 40
        assert 0.01 < distance < 0.9


def test_measures_by_hand() -> None:
    groups = np.array([0, 0, 1, 1])
    # Batches (0, 1) and (2, 3) hold both of the 2 pairs of a row group; of all 6 pairs 2 are in batches.
    assert pairs_together(np.array([0, 1, 2, 3]), groups, 2) == pytest.approx(2 / (2 * 2 / 6))
    assert pairs_together(np.array([0, 2, 1, 3]), groups, 2) == 0
    assert neighbour_distance(np.array([0, 1, 2, 3])) == pytest.approx(1 / (5 / 3))
    assert neighbour_distance(np.array([0, 2, 1, 3])) == pytest.approx((2 + 1 + 2) / 3 / (5 / 3))
    assert np.isnan(pairs_together(np.arange(4), np.arange(4), 2))

"""Ranks share an epoch, and a state goes on inside it: with other ranks and batches, and nothing twice or never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from visiting import KINDS, contents, flat, visits

from freqcache import FrequencyBatchSampler, FrequencyDataset, FrequencyLoader
from freqcache.loading.loader import Access

ACCESSES: tuple[Access, ...] = ("memory", "groups", "random")
WORLDS = (1, 2, 3)

pytestmark = pytest.mark.usefixtures("small_portions")


def samplers(dataset: FrequencyDataset, batch_size: int, world: int, **options: Any) -> list[FrequencyBatchSampler]:
    """One sampler a rank: the orders and states of a loader, without the reading."""
    options = {"shuffle": True, "window": 8, "seed": 5} | options
    return [FrequencyBatchSampler(dataset, batch_size, rank=r, world_size=world, **options) for r in range(world)]


def resumed(state: dict[str, Any], dataset: FrequencyDataset, batch_size: int, world: int, **options: Any) -> Any:
    again = samplers(dataset, batch_size, world, **options)
    for one in again:
        one.load_state_dict(json.loads(json.dumps(state)))
    return again


@pytest.fixture(scope="module")
def dataset(small: dict[str, FrequencyDataset]) -> FrequencyDataset:
    return small["fixed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("lanes", [None, 1, 2, 6])
def test_ranks_share_an_epoch(
    small: dict[str, FrequencyDataset], kind: str, access: Access, world: int, lanes: int | None
) -> None:
    dataset = small[kind]

    def epoch(shuffle: bool) -> list[list[list[int]]]:
        loaders = [
            FrequencyLoader(
                dataset,
                4,
                shuffle=shuffle,
                drop_last=shuffle,
                access=access,
                window=8,
                rank=rank,
                world_size=world,
                lanes=lanes,
            )
            for rank in range(world)
        ]
        found = [visits(dataset, loader) for loader in loaders]
        assert [len(batches) for batches in found] == [len(loader) for loader in loaders]
        return found

    evaluated = epoch(shuffle=False)
    assert sorted(item for rank in evaluated for item in flat(rank)) == list(range(28))
    trained = epoch(shuffle=True)
    assert [[len(batch) for batch in rank] for rank in trained] == [[4] * (28 // (4 * world))] * world
    items = [item for rank in trained for item in flat(rank)]
    assert len(items) == len(set(items))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_read_row_groups_of_their_own(dataset: FrequencyDataset, world: int) -> None:
    read = [np.unique(dataset.row_groups[flat(rank)]) for rank in samplers(dataset, 2, world)]
    n_groups = len(np.unique(dataset.row_groups))
    assert n_groups <= sum(map(len, read)) <= n_groups + world - 1


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_position_goes_on_with_any_ranks_and_batches(
    dataset: FrequencyDataset, world: int, drop_last: bool, shuffle: bool
) -> None:
    options = {"shuffle": shuffle, "drop_last": drop_last}
    whole = [list(one) for one in samplers(dataset, 3, world, **options)]
    steps = len(whole[0])
    for position in range(steps):
        ranks = samplers(dataset, 3, world, **options)
        before = [list(islice(one, position)) for one in ranks]
        states = [one.state_dict() for one in ranks]
        # Without drop_last a rank may have had its last batch where rank 0 has one more.
        assert all(state == states[0] for state, rank in zip(states, whole, strict=True) if len(rank) > position)
        seen = {item for rank in before for item in flat(rank)}
        again = [list(one) for one in resumed(states[0], dataset, 3, world, **options)]
        assert again == [rank[position:] for rank in whole]
        for other in (*WORLDS, 5):
            for batch_size in (1, 3, 4):
                rest = [
                    item
                    for one in resumed(states[0], dataset, batch_size, other, **options | {"drop_last": False})
                    for item in flat(one)
                ]
                assert len(rest) == len(set(rest)) == 28 - len(seen)
                assert seen.isdisjoint(rest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_loader_goes_on_bit_for_bit(
    small: dict[str, FrequencyDataset], kind: str, access: Access, prefetch: int
) -> None:
    dataset = small[kind]

    def loader() -> FrequencyLoader:
        return FrequencyLoader(dataset, 5, shuffle=True, seed=2, access=access, window=8, prefetch=prefetch)

    whole = loader()
    whole.set_epoch(3)
    expected = [contents(coefficients) for coefficients, _ in whole]
    for position in range(len(expected) + 1):
        stopped = loader()
        stopped.set_epoch(3)
        batches = iter(stopped)
        assert len(list(islice(batches, position))) == position
        state = json.loads(json.dumps(stopped.state_dict()))
        batches.close()
        assert stopped.state_dict() == state
        again = loader()
        again.load_state_dict(state)
        assert again.epoch == (3 if position < len(expected) else 4)
        again.set_epoch(again.epoch)  # as a training loop does
        found = [contents(coefficients) for coefficients, _ in again]
        if position < len(expected):
            assert found == expected[position:]
            assert again.state_dict() == state | {"epoch": 4, "consumed": 0}
        else:
            assert len(found) == len(expected)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_run_of_many_stops_visits_everything_once(small: dict[str, FrequencyDataset], data: st.DataObject) -> None:
    """Ranks come and go; without drop_last every sample of every epoch comes exactly once."""
    dataset = small["fixed"]
    seen: list[list[int]] = [[], []]
    state: dict[str, Any] | None = None
    for _ in range(200):
        world, batch_size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
        ranks = samplers(dataset, batch_size, world) if state is None else resumed(state, dataset, batch_size, world)
        epoch = ranks[0].epoch
        if epoch == len(seen):
            break
        count = data.draw(st.integers(1, 4))
        for one in ranks:
            seen[epoch] += flat(islice(one, count))
        state = ranks[0].state_dict()
    assert [sorted(items) for items in seen] == [list(range(28))] * 2


def test_lanes_are_kept_when_ranks_change(dataset: FrequencyDataset) -> None:
    first = samplers(dataset, 2, 3)[0]
    state = first.state_dict()
    assert state["lanes"] == 3
    again = resumed(state, dataset, 2, 1)[0]
    assert again.lanes == 3
    assert again.state_dict()["lanes"] == 3
    with pytest.raises(ValueError, match="state: its lanes is 3, here it is 1"):
        resumed(state, dataset, 2, 1, lanes=1)


def test_the_state_follows_epochs(dataset: FrequencyDataset) -> None:
    loader = FrequencyLoader(dataset, 5, shuffle=True, window=8)

    def place(of: FrequencyLoader) -> tuple[int, int]:
        return of.state_dict()["epoch"], of.state_dict()["consumed"]

    assert place(loader) == (0, 0)
    batches = iter(loader)
    next(batches)
    assert place(loader) == (0, 5)
    for _ in batches:
        pass
    assert place(loader) == (1, 0)
    assert loader.epoch == 1
    with pytest.raises(StopIteration):
        next(batches)
    assert place(loader) == (1, 0)

    second = visits(dataset, loader)
    loader.set_epoch(1)
    assert visits(dataset, loader) == second
    assert place(loader) == (2, 0)

    # The epoch that is next anyway: a position stays, and an iteration in progress goes on to count.
    again = FrequencyLoader(dataset, 5, shuffle=True, window=8)
    again.load_state_dict(loader.state_dict() | {"epoch": 1, "consumed": 10})
    again.set_epoch(1)
    assert place(again) == (1, 10)
    assert visits(dataset, again) == second[2:]
    again.set_epoch(1)
    assert place(again) == (1, 0)
    assert visits(dataset, again) == second

    # Another epoch: from its front, whatever was going on.
    running = iter(again)
    next(running)
    again.set_epoch(7)
    assert place(again) == (7, 0)
    for _ in running:
        pass
    assert place(again) == (7, 0)


def test_the_state_follows_the_last_iteration(dataset: FrequencyDataset) -> None:
    loader = FrequencyLoader(dataset, 5, shuffle=True, window=8)
    first, second = iter(loader), iter(loader)
    one, two = [next(first)], [next(second)]
    one += list(first)
    assert (loader.epoch, loader.state_dict()["consumed"]) == (0, 5)
    two += list(second)
    assert visits(dataset, one) == visits(dataset, two)
    assert loader.epoch == 1


def test_a_rest_without_a_full_batch_is_an_empty_iteration(dataset: FrequencyDataset) -> None:
    state = samplers(dataset, 3, 1, drop_last=True)[0].state_dict() | {"consumed": 26}
    for access in ACCESSES:
        loader = FrequencyLoader(dataset, 3, shuffle=True, seed=5, window=8, drop_last=True, access=access)
        of = state | {"order": loader.order}
        loader.load_state_dict(of)
        assert list(loader) == []
        assert loader.state_dict() == of | {"epoch": 1, "consumed": 0}
        assert len(list(loader)) == 9
    (sampler,) = resumed(state, dataset, 3, 1, drop_last=True)
    iter(sampler)  # as a DataLoader with workers does, which drops it
    assert list(sampler) == []
    assert sampler.epoch == 1


def changed(small_stores: Path) -> Iterator[tuple[str, FrequencyBatchSampler]]:
    fixed = FrequencyDataset(small_stores / "fixed.zarr", split="all")
    native = FrequencyDataset(small_stores / "native.zarr", split="all")
    for key, dataset, options in (
        ("seed", fixed, {"seed": 6}),
        ("samples", fixed, {"indices": np.arange(27)}),
        ("digest", fixed, {"indices": np.array([0, *range(27)])}),
        ("digest", native, {}),
        ("shuffle", fixed, {"shuffle": False}),
        ("order", fixed, {"access": "random"}),
        ("window", fixed, {"window": 9}),
    ):
        yield key, samplers(dataset, 3, 1, **options)[0]


def test_a_state_of_another_order_is_refused(dataset: FrequencyDataset, small_stores: Path) -> None:
    state = samplers(dataset, 3, 1)[0].state_dict()
    for key, other in changed(small_stores):
        before = other.state_dict()
        with pytest.raises(ValueError, match=f"state: its {key} is .*, here it is"):
            other.load_state_dict(state)
        assert other.state_dict() == before
    # How samples are read is nobody's matter.
    masked = FrequencyDataset(small_stores / "fixed.zarr", split="all", channels="6", threads=2)
    samplers(masked, 7, 2)[1].load_state_dict(state)


MALFORMED: list[Any] = [
    {"epoch": -1},
    {"epoch": 1.0},
    {"epoch": "1"},
    {"epoch": None},
    {"consumed": -1},
    {"consumed": 29},
    {"consumed": True},
    {"lanes": 0},
    {"lanes": "2"},
    {"lanes": None},
    {"version": 2},
    {"digest": 5},
]


@pytest.mark.parametrize("wrong", MALFORMED, ids=str)
def test_what_is_no_state_is_refused(dataset: FrequencyDataset, wrong: dict[str, Any]) -> None:
    (sampler,) = samplers(dataset, 3, 1)
    state = sampler.state_dict()
    (key,) = wrong
    with pytest.raises(ValueError, match=f"state: its {key} is"):
        sampler.load_state_dict(state | wrong)
    del state[key]
    with pytest.raises(ValueError, match=f"state: it has no {key}"):
        sampler.load_state_dict(state)


@pytest.mark.parametrize("wrong", [None, 3, [], "state", {}], ids=str)
def test_what_is_no_mapping_is_refused(dataset: FrequencyDataset, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"state: (expected what state_dict returns|it has no)"):
        samplers(dataset, 3, 1)[0].load_state_dict(wrong)


def test_many_lanes_cost_no_memory(dataset: FrequencyDataset) -> None:
    (sampler,) = resumed(samplers(dataset, 3, 1)[0].state_dict() | {"lanes": 10**15}, dataset, 3, 1)
    assert sorted(flat(sampler)) == list(range(28))


def test_numbers_of_numpy_are_as_good(dataset: FrequencyDataset) -> None:
    one = np.int64(1)
    loader = FrequencyLoader(
        dataset,
        5 * one,
        shuffle=np.bool_(True),
        seed=one,
        rank=0 * one,
        world_size=one,
        lanes=one,
        window=8 * one,  # type: ignore[arg-type]
    )
    loader.set_epoch(2 * one)
    next(iter(loader))
    state = json.loads(json.dumps(loader.state_dict()))
    again = FrequencyLoader(dataset, 5, shuffle=True, seed=1, window=8)
    again.load_state_dict(state)
    assert (state["epoch"], state["consumed"]) == (2, 5)


@pytest.mark.parametrize(("received", "consumed"), [(0, 0), (2, 6), (9, 27)])
def test_a_sampler_is_told_what_was_received(dataset: FrequencyDataset, received: int, consumed: int) -> None:
    (sampler,) = samplers(dataset, 3, 1)
    whole = list(sampler)
    state = sampler.state_dict(received)
    assert (state["epoch"], state["consumed"]) == (0, consumed)
    assert list(resumed(state, dataset, 3, 1)[0]) == whole[received:]
    assert sampler.state_dict(10) == sampler.state_dict() == state | {"epoch": 1, "consumed": 0}
    for wrong in (-1, 11):
        with pytest.raises(ValueError, match=f"batches_consumed: expected 0 to 10, found {wrong}"):
            sampler.state_dict(wrong)

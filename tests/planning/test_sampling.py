"""Samples of a listing and what is concluded from them, against numbers that are known: no file is opened."""

from __future__ import annotations

import numpy as np
import pytest

from freqcache.planning.estimating import Estimator
from freqcache.planning.sampling import Population, draw
from freqcache.planning.scaling import Scaling, wall_seconds
from freqcache.sources import SourceFile


def population(sizes: np.ndarray, endings: list[str] | None = None) -> Population:
    names = endings or ["jpg"] * len(sizes)
    return Population.of(
        [
            SourceFile(path=f"a/{i}.{name}", label=0, size=int(size), mtime_ns=0)
            for i, (size, name) in enumerate(zip(sizes, names, strict=True))
        ]
    )


@pytest.fixture(scope="module")
def skewed() -> Population:
    rng = np.random.default_rng(1)
    return population(rng.lognormal(10, 1.2, 5000))


def test_a_sample_is_of_different_files_and_stands_for_all(skewed: Population) -> None:
    for seed in range(20):
        sample = draw(skewed, 200, seed)
        assert len(np.unique(sample.numbers)) == len(sample) == 200
        assert sample.weights.min() >= 1
        assert sample.weights.sum() == pytest.approx(len(skewed))
    assert len(np.unique(np.concatenate([draw(skewed, 200, seed).numbers for seed in range(20)]))) > 300


def test_the_same_seed_is_the_same_sample(skewed: Population) -> None:
    assert np.array_equal(draw(skewed, 50, 3).numbers, draw(skewed, 50, 3).numbers)
    assert not np.array_equal(draw(skewed, 50, 3).numbers, draw(skewed, 50, 4).numbers)


def test_all_files_are_everything(skewed: Population) -> None:
    sample = draw(skewed, 10_000, 0)
    assert sample.is_everything
    assert sorted(sample.numbers) == list(range(5000))


def test_files_of_no_length_can_be_drawn() -> None:
    assert len(draw(population(np.zeros(100)), 10, 0)) == 10


def test_a_line_through_the_sizes_gives_the_total_exactly(skewed: Population) -> None:
    sample = draw(skewed, 100, 0)
    values = 3 * skewed.sizes[sample.numbers] + 50
    total = Estimator(skewed, sample).total(values)
    assert total.value == pytest.approx(3 * skewed.sizes.sum() + 50 * len(skewed))
    assert total.relative < 1e-6


def test_intervals_hold_the_truth_about_as_often_as_they_say(skewed: Population) -> None:
    rng = np.random.default_rng(2)
    values = skewed.sizes * rng.lognormal(0, 0.3, len(skewed)) + 5000 * rng.random(len(skewed))
    held, errors = 0, []
    for seed in range(200):
        sample = draw(skewed, 128, seed)
        total = Estimator(skewed, sample).total(values[sample.numbers])
        held += total.low <= values.sum() <= total.high
        errors.append(total.value / values.sum() - 1)
    assert held >= 170
    assert abs(np.mean(errors)) < 0.01


def test_kinds_have_lines_of_their_own() -> None:
    rng = np.random.default_rng(3)
    sizes, endings = rng.uniform(1e4, 2e4, 2000), ["jpg", "png"] * 1000
    mixed = population(sizes, endings)
    values = mixed.sizes * np.where(mixed.kinds == mixed.names.index("png"), 0.1, 1.2)
    sample = draw(mixed, 100, 0)
    assert Estimator(mixed, sample).total(values[sample.numbers]).value == pytest.approx(values.sum())


def test_a_kind_of_which_nothing_was_drawn_counts_as_the_others() -> None:
    rare = population(np.full(1000, 100.0), ["jpg"] * 999 + ["bmp"])
    for seed in range(20):
        sample = draw(rare, 20, seed)
        assert Estimator(rare, sample).total(np.full(len(sample), 7.0)).value == pytest.approx(7000)


def test_shares_have_an_interval_unless_all_was_read(skewed: Population) -> None:
    few = Estimator(skewed, draw(skewed, 100, 0)).share(np.arange(100) < 0)
    assert (few.value, few.low, few.sampled) == (0, 0, 0)
    assert 0 < few.high < 0.1
    every = Estimator(skewed, draw(skewed, 5000, 0)).share(np.arange(5000) < 500)
    assert (every.value, every.low, every.high) == (0.1, 0.1, 0.1)


def test_few_shards_leave_workers_idle() -> None:
    four = Scaling(workers=4, start_seconds=0, speedup=4)
    assert wall_seconds(100, [512 * 8], 512, four) == pytest.approx(25)
    assert wall_seconds(100, [512], 512, four) == pytest.approx(100)
    assert wall_seconds(100, [512 * 5], 512, four) == pytest.approx(40)
    shared = Scaling(workers=2, start_seconds=0, speedup=1)
    assert wall_seconds(100, [1024], 512, shared) == pytest.approx(100)

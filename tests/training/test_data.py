"""Which images train and which validate; which cache a mask stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.errors import TrainingError
from freqcache.training import RunConfig, resolve_cache
from freqcache.training.data import hold_out, open_batches, open_data
from freqcache_formats.mask import CacheReference, ChannelMask

from .standin import install, toy_cache


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
)
def test_every_class_is_held_out_in_proportion(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = hold_out(labels, fraction)
    np.testing.assert_array_equal(chosen, hold_out(labels, fraction))
    for label, count in enumerate(counts):
        held = int(chosen[labels == label].sum())
        assert held == min(max(1, round(fraction * count)), count - 1)


def test_val_comes_before_test(monkeypatch):
    install(monkeypatch, toy_cache(splits=("train", "val", "test")))
    data = open_data(RunConfig(cache="/nowhere/memory.zarr"))
    assert (data.train.name, data.val.name, data.held_out) == ("train", "val", False)
    install(monkeypatch, toy_cache(splits=("train", "test")))
    assert open_data(RunConfig(cache="/nowhere/memory.zarr")).val.name == "test"


@pytest.mark.parametrize("name", ["all", "train"])
def test_one_split_is_parted(monkeypatch, name):
    install(monkeypatch, toy_cache(splits=(name,)))
    data = open_data(RunConfig(cache="/nowhere/memory.zarr", val_fraction=0.25))
    assert data.held_out
    assert len(data.train) == 72
    assert len(data.val) == 24
    assert not set(data.train.indices) & set(data.val.indices)
    other = open_data(RunConfig(cache="/nowhere/memory.zarr", val_fraction=0.25, seed=5))
    np.testing.assert_array_equal(data.val.indices, other.val.indices)


def test_validation_covers_every_image_once_and_training_shuffles(monkeypatch):
    install(monkeypatch, toy_cache())
    data = open_data(RunConfig(cache="/nowhere/memory.zarr", channels=ChannelMask.preset("6")))
    batches = list(open_batches(data.val, 20))
    assert [len(labels) for _, labels in batches] == [20, 20, 8]
    assert all(stored.shape[1:] == (6, 4, 4) for stored, _ in batches)
    assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == (np.arange(48) % 3).tolist()
    train = open_batches(data.train, 40, shuffle=True)
    assert [len(labels) for _, labels in train] == [40, 40]


def test_splits_that_say_nothing_are_refused(monkeypatch):
    install(monkeypatch, toy_cache(splits=("val", "test")))
    with pytest.raises(TrainingError, match=r"splits train and val, or one split; found val, test"):
        open_data(RunConfig(cache="/nowhere/memory.zarr"))
    install(monkeypatch, toy_cache(splits=("all",), train=1))
    with pytest.raises(TrainingError, match="too few images: 1 to train on, 0 to validate on"):
        open_data(RunConfig(cache="/nowhere/memory.zarr"))


def _mask(path: str, cache_id: str = "memory-1") -> ChannelMask:
    return ChannelMask.from_indices([0, 1], name="mine", cache=CacheReference(path=path, id=cache_id))


def test_a_mask_brings_its_cache(monkeypatch, tmp_path):
    folder = tmp_path / "cache.zarr"
    folder.mkdir()
    install(monkeypatch, toy_cache(path=str(folder)))
    assert resolve_cache(None, _mask(str(folder))) == str(folder)
    assert resolve_cache("other.zarr", _mask(str(folder))) == "other.zarr"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no cache named"),
        (
            lambda folder: ChannelMask.preset("24"),
            r"mask '24' does not say which cache.*freqcache train CACHE",
        ),
        (lambda folder: _mask("/gone/cache.zarr"), "/gone/cache.zarr, which is gone"),
        (
            lambda folder: _mask(str(folder), "another-id"),
            "with id another-id, but the cache there now has id memory-1",
        ),
    ],
)
def test_a_mask_that_leads_nowhere_is_one_clear_line(monkeypatch, tmp_path, make, words):
    install(monkeypatch, toy_cache(path=str(tmp_path)))
    with pytest.raises(TrainingError, match=words) as caught:
        resolve_cache(None, make(tmp_path))
    assert "\n" not in str(caught.value)

"""However a loader reads, its batches are those of a full read: any access, threads, prefetch, mask and subset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from visiting import KINDS, contents, flat, visits

from freqcache import ChannelMask, FrequencyDataset, FrequencyLoader
from freqcache.batches import FrequencyBatch
from freqcache.crops import CentreCrop, RandomResizedCrop
from freqcache.loading.loader import Access
from freqcache.loading.order import epoch_order
from freqcache.resampling.operator import resample
from freqcache.transforms import TrainTransform

ACCESSES: tuple[Access, ...] = ("memory", "groups", "random")

pytestmark = pytest.mark.usefixtures("small_portions")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_batches_are_those_of_a_full_read(
    small_stores: Path, kind: str, access: Access, shuffle: bool, threads: int
) -> None:
    dataset = FrequencyDataset(small_stores / f"{kind}.zarr", split="all", channels="24", threads=threads)
    order = "stored" if not shuffle else "groups" if access == "groups" else "random"
    for prefetch in (0, 2):
        loader = FrequencyLoader(dataset, 5, shuffle=shuffle, seed=4, access=access, prefetch=prefetch, window=12)
        for epoch in range(2):
            expected = epoch_order(dataset.row_groups, order, seed=4, epoch=epoch, window=12)
            found = visits(dataset, loader)
            assert flat(found) == expected.tolist()
            assert [len(batch) for batch in found] == [5] * 5 + [3]


@pytest.mark.parametrize("access", ACCESSES)
def test_a_batch_keeps_its_numbers(small: dict[str, FrequencyDataset], access: Access) -> None:
    """Memory that is used again is not that of batches."""
    dataset = small["fixed"]
    loader = FrequencyLoader(dataset, 3, shuffle=True, access=access, window=8)
    kept = list(loader)
    first = visits(dataset, kept)
    for coefficients, _ in loader:
        coefficients.zero_()
    assert visits(dataset, kept) == first
    loader.set_epoch(0)
    assert visits(dataset, loader) == first


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mask_and_subset(small_stores: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    mask = ChannelMask.from_indices(sorted(data.draw(st.sets(st.integers(0, 191), min_size=1, max_size=8))))
    dataset = FrequencyDataset(small_stores / f"{kind}.zarr", split="all", channels=mask)
    # With repetitions, as a draw with replacement has them.
    chosen = np.array(data.draw(st.lists(st.integers(0, len(dataset) - 1), min_size=1, max_size=40)))
    loader = FrequencyLoader(
        dataset,
        data.draw(st.integers(1, 9)),
        shuffle=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 9)),
        indices=chosen,
        access=data.draw(st.sampled_from(ACCESSES)),
        prefetch=data.draw(st.integers(0, 2)),
        window=data.draw(st.integers(1, 30)),
    )
    whole: Any = dataset.read(np.arange(len(dataset))) if kind == "fixed" else dataset.read_batch(range(len(dataset)))
    single = contents(whole)
    found = [content for coefficients, _ in loader for content in contents(coefficients)]
    assert sorted(map(hash, found)) == sorted(hash(single[item]) for item in chosen)
    if not loader.shuffle:
        assert found == [single[item] for item in np.sort(chosen)]


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_transform_of_batches_equals_the_same_by_hand(small_stores: Path, kind: str, access: Access) -> None:
    crop = RandomResizedCrop(size=24)
    dataset = FrequencyDataset(small_stores / f"{kind}.zarr", split="all", channels="6", crop=crop)
    transform = TrainTransform.of(dataset)
    generator = torch.Generator().manual_seed(1)
    loader = FrequencyLoader(
        dataset, 6, shuffle=True, access=access, transform=lambda batch: transform(batch, generator), window=12
    )
    found = list(loader)
    order = epoch_order(dataset.row_groups, loader.order, seed=0, epoch=0, window=12)
    by_hand = torch.Generator().manual_seed(1)
    factor, offset = transform.normalization.affine()
    assert len(found) == 5
    for number, (x, labels) in enumerate(found):
        items = order[6 * number : 6 * number + 6]
        batch = dataset.read_batch(items)
        crops = crop.draw(batch.width, batch.height, by_hand)
        expected = resample(batch, crops, dataset.channels, scale=factor[None], offset=offset[None])
        assert torch.equal(x, expected)
        assert labels.tolist() == dataset.labels[items].tolist()


def test_a_size_makes_batches_of_one_grid(small_stores: Path) -> None:
    dataset = FrequencyDataset(small_stores / "native.zarr", split="all", channels="6", size=24)
    for access in ACCESSES:
        loader = FrequencyLoader(dataset, 5, shuffle=True, access=access, window=12)
        assert sorted(flat(visits(dataset, loader))) == list(range(28))


def test_native_batches_move_and_pin_as_wholes(small: dict[str, FrequencyDataset]) -> None:
    dataset = small["native"]
    loader = FrequencyLoader(dataset, 5, shuffle=True, access="groups", window=12, device="cpu", pin_memory=True)
    assert sorted(flat(visits(dataset, loader))) == list(range(28))
    for batch, _ in loader:
        assert isinstance(batch, FrequencyBatch)
        assert contents(batch.compact()) == contents(batch)
        assert contents(batch.select([2, 0])) == [contents(batch)[2], contents(batch)[0]]


def test_what_memory_holds_is_read_once(small: dict[str, FrequencyDataset], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, calls = small["fixed"], []
    real = FrequencyDataset.read
    monkeypatch.setattr(
        FrequencyDataset, "read", lambda self, items, out=None: (calls.append(len(items)), real(self, items, out))[1]
    )
    loader = FrequencyLoader(dataset, 5, shuffle=True, access="memory", indices=np.arange(20))
    for _ in range(3):
        assert len(list(loader)) == 4
    assert calls == [20]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crop", [CentreCrop(size=24)])
def test_bytes_of_items_are_those_that_are_held(small_stores: Path, kind: str, crop: CentreCrop) -> None:
    for given_crop in (None, crop):
        dataset = FrequencyDataset(small_stores / f"{kind}.zarr", split="all", channels="6", crop=given_crop)
        loader = FrequencyLoader(dataset, 28, shuffle=False, access="groups", prefetch=0)
        ((batch, _),) = loader
        held = batch.nbytes if isinstance(batch, torch.Tensor) else batch.n_bytes
        assert loader.n_bytes == held

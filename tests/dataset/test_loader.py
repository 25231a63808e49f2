"""The loader: every sample once an epoch, in an order that the seed and the epoch decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from photographs import write_tree

import freqcache
from freqcache import FrequencyDataset, FrequencyLoader
from freqcache.loading.loader import Access


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FrequencyDataset:
    folder = tmp_path_factory.mktemp("stores")
    write_tree(folder / "photos", splits=(".",), per_class=30)
    options = freqcache.BuildOptions(size=40, exact=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", options, workers=1, quiet=True)
    return FrequencyDataset(folder / "fixed.zarr", split="all", channels="24")


def visited(dataset: FrequencyDataset, loader: FrequencyLoader) -> tuple[list[int], list[int]]:
    """Return the items of an epoch in the order of the visit, known by their coefficients, and the batch sizes."""
    known = {dataset[i][0].numpy().tobytes(): i for i in range(len(dataset))}
    assert len(known) == len(dataset)
    order, sizes = [], []
    for coefficients, labels in loader:
        sizes.append(len(labels))
        items = [known[row.numpy().tobytes()] for row in coefficients]
        assert labels.tolist() == dataset.labels[items].tolist()
        assert labels.dtype == torch.int64
        order += items
    return order, sizes


@pytest.mark.parametrize("access", ["memory", "groups", "random"])
@pytest.mark.parametrize("window", [1, 20, 1024])
def test_every_item_once_an_epoch(dataset: FrequencyDataset, access: Access, window: int) -> None:
    loader = FrequencyLoader(dataset, 7, shuffle=True, seed=3, access=access, window=window)
    orders = []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        order, sizes = visited(dataset, loader)
        assert sorted(order) == list(range(60))
        assert sizes == [7] * 8 + [4]
        orders.append(order)
    assert orders[0] != orders[1]
    loader.set_epoch(0)
    assert visited(dataset, loader)[0] == orders[0]


@pytest.mark.parametrize("access", ["memory", "groups", "random"])
def test_order_subset_and_incomplete_batches(dataset: FrequencyDataset, access: Access) -> None:
    chosen = np.array([50, 3, 4, 20, 33])
    loader = FrequencyLoader(dataset, 2, shuffle=False, indices=chosen, access=access)
    assert visited(dataset, loader) == ([3, 4, 20, 33, 50], [2, 2, 1])
    assert len(loader) == 3
    loader = FrequencyLoader(dataset, 2, shuffle=True, indices=chosen, drop_last=True, access=access)
    order, sizes = visited(dataset, loader)
    assert set(order) < set(chosen.tolist())
    assert sizes == [2, 2]
    assert len(loader) == 2


@pytest.mark.parametrize("shuffle", [True, False])
def test_streamed_row_groups_are_read_once(
    dataset: FrequencyDataset, shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = FrequencyDataset.read

    def counting(self: FrequencyDataset, indices: np.ndarray, out: torch.Tensor | None = None) -> torch.Tensor:
        read.extend(np.unique(self.row_groups[indices]).tolist())
        return real(self, indices, out)

    monkeypatch.setattr(FrequencyDataset, "read", counting)
    for _ in FrequencyLoader(dataset, 7, shuffle=shuffle, access="groups"):
        pass
    assert sorted(read) == [0, 1, 2, 3]


def test_small_splits_are_held_in_memory(dataset: FrequencyDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FrequencyLoader(dataset, 7, shuffle=True).access == "memory"
    monkeypatch.setattr("freqcache.loading.loader.IN_MEMORY_BYTES", 1000)
    assert FrequencyLoader(dataset, 7, shuffle=True).access == "groups"

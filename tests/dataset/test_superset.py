"""What is read for a resized crop: exactly what reaches the wanted channels, or less with the error that is stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import write_tree

import freqcache
from freqcache import ChannelMask, FrequencyDataset
from freqcache.crops import CentreCrop, RandomResizedCrop
from freqcache.errors import StoreError
from freqcache.resampling.operator import resample


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    write_tree(folder / "photos", splits=(".",), per_class=20)
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    options = freqcache.BuildOptions(size=64, exact=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", options, workers=1, quiet=True)
    return folder


def cropped(dataset: FrequencyDataset, crop: CentreCrop | RandomResizedCrop, draws: int = 1) -> torch.Tensor:
    """Return the wanted channels of all items of a dataset after the crop, by fixed seeds."""
    parts = []
    for seed in range(draws):
        batch = dataset.read_batch(range(len(dataset)))
        crops = crop.draw(batch.width, batch.height, torch.Generator().manual_seed(1000 + seed))
        parts.append(resample(batch, crops, dataset.channels))
    return torch.cat(parts)


CROPS = (RandomResizedCrop(size=48), CentreCrop(size=40), RandomResizedCrop(size=24, scale=(0.6, 1.0)))


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("name", ["native.zarr", "fixed.zarr"])
def test_exact_reads_all_that_reaches_the_wanted(stores: Path, name: str, crop: CentreCrop | RandomResizedCrop) -> None:
    mask = ChannelMask.preset("6")
    dataset = FrequencyDataset(stores / name, split="all", channels=mask, crop=crop)
    assert len(dataset.source_channels) == 192
    assert not dataset.reading.error.any()
    everything = FrequencyDataset(stores / name, split="all", crop=crop)
    expected = cropped(everything, crop)[:, torch.from_numpy(mask.indices)]
    torch.testing.assert_close(cropped(dataset, crop), expected, rtol=0, atol=1e-4)
    luma = FrequencyDataset(stores / name, split="all", channels=ChannelMask.from_indices([3]), crop=crop)
    assert luma.source_channels.indices.tolist() == list(range(64))


def test_what_is_only_moved_needs_no_other_frequency(stores: Path) -> None:
    dataset = FrequencyDataset(stores / "fixed.zarr", split="all", channels="24", crop=CentreCrop(size=48, resize=0))
    assert dataset.source_channels.indices.tolist() == dataset.channels.indices.tolist()
    whole = FrequencyDataset(stores / "fixed.zarr", split="all", channels="24")
    found = cropped(dataset, CentreCrop(size=48, resize=0))
    expected = whole.read(range(len(whole)))[..., 1:7, 1:7] * whole.scale[:, None, None]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("name", ["native.zarr", "fixed.zarr"])
@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.02])
def test_fast_reads_less_and_says_what_is_lost(
    stores: Path, name: str, crop: CentreCrop | RandomResizedCrop, tolerance: float
) -> None:
    dataset = FrequencyDataset(stores / name, split="all", channels="24", crop=crop, policy="fast", tolerance=tolerance)
    exact = FrequencyDataset(stores / name, split="all", channels="24", crop=crop)
    assert len(dataset.source_channels) < len(exact.source_channels)
    assert dataset.bytes_per_image < exact.bytes_per_image
    expected = dataset.reading.error
    assert 0 < expected.max() <= tolerance
    full, fast = cropped(exact, crop, draws=6), cropped(dataset, crop, draws=6)
    deviation = full.double().var(dim=(0, 2, 3)).sqrt()
    measured = ((full - fast).double().square().mean(dim=(0, 2, 3)).sqrt() / deviation).numpy()
    # Other crops than those that were drawn when the reading was planned, and the images besides.
    assert measured.max() < 1.5 * tolerance
    assert 0.7 < np.sqrt((measured**2).mean()) / np.sqrt((expected**2).mean()) < 1.4


def test_a_smaller_tolerance_reads_no_less(stores: Path) -> None:
    counts = [
        len(
            FrequencyDataset(
                stores / "native.zarr", split="all", channels="24", crop=CROPS[0], policy="fast", tolerance=tolerance
            ).source_channels
        )
        for tolerance in (0.5, 0.2, 0.05, 0.01, 1e-6)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_size_follows_the_policy_too(stores: Path) -> None:
    exact = FrequencyDataset(stores / "native.zarr", split="all", channels="24", size=40)
    fast = FrequencyDataset(stores / "native.zarr", split="all", channels="24", size=40, policy="fast", tolerance=0.2)
    assert len(fast.source_channels) < len(exact.source_channels) == 192
    assert fast.held_channels == fast.channels
    items = exact.read(range(20)), fast.read(range(20))
    assert items[0].shape == items[1].shape == (20, 24, 5, 5)
    assert not torch.equal(*items)


def test_without_a_crop_the_wanted_are_read(stores: Path) -> None:
    dataset = FrequencyDataset(stores / "native.zarr", split="all", channels="24")
    assert dataset.source_channels is dataset.held_channels is dataset.channels


def test_what_cannot_be_planned_is_refused(stores: Path) -> None:
    crop = CROPS[0]
    with pytest.raises(StoreError, match="policy: expected one of exact, fast, found 'quick'"):
        FrequencyDataset(stores / "native.zarr", split="all", policy="quick")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="tolerance: expected a positive share, found 0"):
        FrequencyDataset(stores / "native.zarr", split="all", crop=crop, policy="fast", tolerance=0)
    with pytest.raises(StoreError, match="a size or a crop"):
        FrequencyDataset(stores / "native.zarr", split="all", crop=crop, size=48)
    with pytest.raises(ValueError, match="larger than image"):
        FrequencyDataset(stores / "native.zarr", split="all", crop=CentreCrop(size=400, resize=0)).read_batch([0])

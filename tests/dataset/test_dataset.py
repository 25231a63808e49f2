"""The torch Dataset: the same tensors as a full read, dequantized and selected, however they are asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import write_tree
from torch.utils.data import DataLoader

import freqcache
from freqcache import ChannelMask, FrequencyDataset
from freqcache.errors import MaskError, StoreError
from freqcache.extraction import ExtractionOptions, extract
from freqcache.resampling.planes import to_fixed_grid
from freqcache.store import NativeSample


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    write_tree(folder / "photos")
    (folder / "photos" / "train" / "ant" / "cut.jpg").write_bytes(
        (folder / "photos" / "train" / "ant" / "0.jpg").read_bytes()[:900]
    )
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    for name, exact in (("fixed.zarr", False), ("exact.zarr", True)):
        options = freqcache.BuildOptions(size=48, exact=exact)
        freqcache.build(folder / "photos", folder / name, options, workers=1, quiet=True)
    return folder


@pytest.mark.parametrize("name", ["fixed.zarr", "exact.zarr"])
def test_items_are_the_masked_channels_of_present_slots(stores: Path, name: str) -> None:
    everything = FrequencyDataset(stores / name, split="train")
    masked = FrequencyDataset(stores / name, split="train", channels="24")
    assert len(everything) == len(masked) == 14  # fifteen slots, one of them absent
    indices = ChannelMask.preset("24").indices
    for i in range(len(masked)):
        coefficients, label = masked[i]
        assert torch.equal(coefficients, everything[i][0][indices])
        assert label == masked.labels[i] >= 0
    assert torch.equal(masked.scale, everything.scale[indices])
    assert masked.dtype == (torch.int8 if name == "fixed.zarr" else torch.int16)


@pytest.mark.parametrize("workers", [0, 2])
def test_dataloader_workers_read_the_same(stores: Path, workers: int) -> None:
    dataset = FrequencyDataset(stores / "fixed.zarr", split="train", channels="6")
    loader = DataLoader(
        dataset, batch_size=5, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    read = torch.cat([coefficients for coefficients, _ in loader])
    assert torch.equal(read, dataset.read(range(len(dataset))))


def test_pickles_without_open_files(stores: Path) -> None:
    dataset = FrequencyDataset(stores / "fixed.zarr", split="train", channels="6")
    first = dataset[0][0]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0][0], first)


def test_native_items_keep_their_own_grids(stores: Path) -> None:
    dataset = FrequencyDataset(stores / "native.zarr", split="train", channels="6")
    sample, _ = dataset[0]
    assert isinstance(sample, NativeSample)
    assert sample.coefficients[0].shape == (4, -(-sample.height // 8), -(-sample.width // 8))
    with pytest.raises(StoreError, match="give a size"):
        _ = dataset.grid


@pytest.mark.parametrize("channels", ["6", "192"])
def test_native_with_a_size_is_the_operator_on_the_whole_file(stores: Path, channels: str) -> None:
    dataset = FrequencyDataset(stores / "native.zarr", split="train", channels=channels, size=40)
    split = freqcache.open(stores / "native.zarr")["train"]
    for i, slot in enumerate(dataset.slots):
        data = (stores / "photos" / split.source_path(slot)).read_bytes()
        sample = extract(data, ExtractionOptions())
        planes = [part.dequantized() for part in sample.components] + [None] * (3 - len(sample.components))
        sampling = [(part.h, part.v) for part in sample.components] + [(0, 0)] * (3 - len(sample.components))
        expected = to_fixed_grid(planes, sampling, sample.width, sample.height, 40)[dataset.channels.indices]
        np.testing.assert_array_equal(dataset[i][0].numpy(), expected)


def test_chroma_alone_keeps_its_place(stores: Path) -> None:
    """A mask without luma must still know that chroma is subsampled."""
    both = FrequencyDataset(stores / "native.zarr", split="train", size=40)
    mask = ChannelMask.from_indices([64, 128])
    chroma = FrequencyDataset(stores / "native.zarr", split="train", channels=mask, size=40)
    for i in range(len(both)):
        assert torch.equal(chroma[i][0], both[i][0][[64, 128]])


def test_normalization_is_of_the_training_split(stores: Path) -> None:
    train = FrequencyDataset(stores / "fixed.zarr", split="train", channels="24")
    val = FrequencyDataset(stores / "fixed.zarr", split="val", channels="24")
    mean, std = val.normalization()
    values = train.read(range(len(train))).double() * train.scale[:, None, None]
    torch.testing.assert_close(mean, values.mean(dim=(0, 2, 3)).float())
    torch.testing.assert_close(std, values.std(dim=(0, 2, 3), correction=0).float())
    resized = FrequencyDataset(stores / "native.zarr", split="train", channels="24", size=40)
    mean, std = resized.normalization()
    values = resized.read(range(len(resized))).double()
    torch.testing.assert_close(mean, values.mean(dim=(0, 2, 3)).float())
    torch.testing.assert_close(std, values.std(dim=(0, 2, 3), correction=0).float(), rtol=1e-4, atol=1e-4)


def test_bytes_per_image_follow_the_mask(stores: Path) -> None:
    costs = [FrequencyDataset(stores / "fixed.zarr", channels=name).bytes_per_image for name in ("6", "24", "192")]
    assert 0 < costs[0] < costs[1] < costs[2]
    resized = FrequencyDataset(stores / "native.zarr", channels=ChannelMask.from_indices([0]), size=40)
    assert len(resized.source_channels) == 64  # resizing mixes the frequencies of luma


@pytest.mark.parametrize("index", [14, -15])
def test_an_index_outside_is_refused(stores: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"{index} is outside the 14 samples"):
        FrequencyDataset(stores / "fixed.zarr")[index]


@pytest.mark.parametrize("shape", [(5, 192, 5, 5), (1, 192, 1, 5), (1, 5, 5)])
def test_a_batch_of_another_shape_is_not_read_into(stores: Path, shape: tuple[int, ...]) -> None:
    dataset = FrequencyDataset(stores / "native.zarr", size=40)
    with pytest.raises(ValueError, match="out: expected"):
        dataset.read([0], out=torch.zeros(shape))
    with pytest.raises(StoreError, match="no common grid"):
        FrequencyDataset(stores / "native.zarr").read([0], out=torch.zeros(shape))


def test_what_does_not_fit_is_refused(stores: Path) -> None:
    with pytest.raises(StoreError, match="a fixed cache has one size"):
        FrequencyDataset(stores / "fixed.zarr", size=40)
    with pytest.raises(StoreError, match="multiple of 8"):
        FrequencyDataset(stores / "native.zarr", size=41)
    with pytest.raises(StoreError, match="no split 'test'"):
        FrequencyDataset(stores / "fixed.zarr", split="test")
    with pytest.raises(MaskError, match="no preset"):
        FrequencyDataset(stores / "fixed.zarr", channels="25")


@pytest.mark.parametrize("kind", ["native", "fixed"])
def test_other_channels_of_the_same_dataset_are_those_of_a_new_one(small_stores: Path, kind: str) -> None:
    path = small_stores / f"{kind}.zarr"
    first = FrequencyDataset(path, split="all", channels="6")
    assert len(first.channel_bytes) == 6  # known from here on, and not for the others
    other, new = first.with_channels("24"), FrequencyDataset(path, split="all", channels="24")
    assert other.channels == new.channels
    assert torch.equal(other.scale, new.scale)
    assert other.bytes_per_image == new.bytes_per_image
    np.testing.assert_array_equal(other.channel_bytes, new.channel_bytes)
    ours, theirs = other.read_batch([3, 0]), new.read_batch([3, 0])
    for mine, same in zip(ours.parts[0], theirs.parts[0], strict=True):
        assert torch.equal(mine, same)
    assert len(first.channels) == len(first.scale) == 6

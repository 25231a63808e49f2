"""From a batch to a network's input: the same numbers as the steps one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import write_tree

import freqcache
from freqcache import ChannelMask, FrequencyDataset
from freqcache.batches import FrequencyBatch
from freqcache.crops import CentreCrop, RandomResizedCrop
from freqcache.normalization import Normalization
from freqcache.resampling.operator import resample
from freqcache.transforms import ColourJitter, EvalTransform, RandomColour, RandomErasing, TrainTransform

CROP = RandomResizedCrop(size=48)
JITTER = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    write_tree(folder / "photos", per_class=8)
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", freqcache.BuildOptions(size=64), workers=1, quiet=True)
    return folder


@pytest.fixture(scope="module")
def native(stores: Path) -> FrequencyDataset:
    return FrequencyDataset(stores / "native.zarr", channels="24", crop=CROP)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normalized(x: torch.Tensor, normalization: Normalization) -> torch.Tensor:
    return (x - normalization.mean[:, None, None]) / normalization.std[:, None, None]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_training_input_is_the_crop_normalized(native: FrequencyDataset) -> None:
    transform = TrainTransform.of(native)
    batch = native.read_batch(range(len(native)))
    found = transform(batch, seeded())
    crops = CROP.draw(batch.width, batch.height, seeded())
    close(found, normalized(resample(batch, crops, native.channels), transform.normalization))
    assert found.shape == (len(native), 24, 6, 6)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, transform(batch, seeded()))
    assert not torch.equal(found, transform(batch, seeded(1)))


@pytest.mark.parametrize("channels", ["24", [3, 64, 70], [0, 128]])
def test_colours_are_those_of_the_module_after_the_crop(stores: Path, channels: str | list[int]) -> None:
    mask = ChannelMask.preset(channels) if isinstance(channels, str) else ChannelMask.from_indices(channels)
    dataset = FrequencyDataset(stores / "native.zarr", channels=mask, crop=CROP)
    transform = TrainTransform.of(dataset, colour=JITTER)
    batch = dataset.read_batch(range(len(dataset)))
    found = transform(batch, seeded())
    generator = seeded()
    factors = JITTER.draw(len(batch), generator)
    cropped = resample(batch, CROP.draw(batch.width, batch.height, generator), mask)
    close(found, normalized(RandomColour(mask, JITTER).adjust(cropped, factors), transform.normalization))


def test_erased_blocks_are_the_mean(native: FrequencyDataset) -> None:
    transform = TrainTransform.of(native, erasing=RandomErasing(p=1.0))
    found = transform(native.read_batch(range(len(native))), seeded())
    plain = TrainTransform.of(native)(native.read_batch(range(len(native))), seeded())
    erased = (found == 0).all(dim=1)
    assert erased.flatten(1).any(dim=1).all()
    assert torch.equal(found.movedim(1, -1)[~erased], plain.movedim(1, -1)[~erased])


def test_evaluation_is_the_centre_and_takes_the_training_normalization(stores: Path, native: FrequencyDataset) -> None:
    train = TrainTransform.of(native)
    dataset = FrequencyDataset(stores / "native.zarr", split="val", channels="24", crop=CentreCrop(size=48, resize=56))
    transform = EvalTransform.of(dataset, train.normalization)
    batch = dataset.read_batch(range(len(dataset)))
    crops = CentreCrop(size=48, resize=56).draw(batch.width, batch.height)
    close(transform(batch), normalized(resample(batch, crops, dataset.channels), train.normalization))
    assert torch.equal(transform(batch), transform(batch, seeded(5)))


def test_dense_batches_of_a_fixed_cache(stores: Path) -> None:
    dataset = FrequencyDataset(stores / "fixed.zarr", channels="24", crop=CROP)
    transform = TrainTransform.of(dataset, colour=JITTER)
    dense = dataset.read(range(len(dataset)))
    assert dense.shape[1] == len(dataset.held_channels) == 192
    found = transform(dense, seeded())
    assert torch.equal(found, transform(dataset.read_batch(range(len(dataset))), seeded()))
    still = CentreCrop(size=64)
    whole = FrequencyDataset(stores / "fixed.zarr", channels="24", crop=still)
    expected = normalized(whole.read([0, 1]) * whole.scale[:, None, None], EvalTransform.of(whole).normalization)
    close(EvalTransform.of(whole)(whole.read([0, 1])), expected)


def test_the_normalization_is_of_the_crops(native: FrequencyDataset) -> None:
    mean, std = native.normalization()
    parts = []
    for seed in range(20):
        batch = native.read_batch(range(len(native)))
        parts.append(resample(batch, CROP.draw(batch.width, batch.height, seeded(100 + seed)), native.channels))
    values = torch.cat(parts).double()
    spread = values.std(dim=(0, 2, 3), correction=0)
    # Measured with one draw of each of the sixteen images: the same distribution, other crops.
    assert ((mean - values.mean(dim=(0, 2, 3))).abs() < 0.4 * spread).all()
    assert ((std / spread - 1).abs() < 0.4).all()
    assert torch.equal(mean, native.normalization()[0])


def test_validation_is_normalized_by_the_training_split(stores: Path) -> None:
    crop = CentreCrop(size=40)
    splits = [
        FrequencyDataset(stores / "native.zarr", split=name, channels="6", crop=crop) for name in ("train", "val")
    ]
    for part, other in zip(*(dataset.normalization() for dataset in splits), strict=True):
        assert torch.equal(part, other)
    assert splits[1].split == "val"


def test_published_statistics_by_name(native: FrequencyDataset) -> None:
    """DCTNet's numbers are in natural order; the channels here are in zigzag order."""
    mask = ChannelMask.preset("24")
    statistics = Normalization.dctnet(mask)
    assert statistics.kind == "dctnet"
    at = {(channel.component, channel.v, channel.u): i for i, channel in enumerate(mask.channels)}
    assert statistics.mean[at["Y", 0, 0]] == pytest.approx(-88.397)
    assert statistics.mean[at["Y", 0, 1]] == pytest.approx(0.014242)
    assert statistics.mean[at["Y", 1, 0]] == pytest.approx(0.4438)  # natural index 8
    for key, published in {("Y", 0, 0): 260, ("Y", 0, 1): 2.78, ("Y", 0, 2): 2.05, ("Y", 1, 1): 0.57}.items():
        assert statistics.std[at[key]] == pytest.approx(published, rel=0.01)
    scale, offset = statistics.affine()
    x = torch.full((24,), 3.0)
    torch.testing.assert_close(x * scale + offset, (x - statistics.mean) / statistics.std)
    by_name = EvalTransform.of(native, "dctnet").normalization
    assert torch.equal(by_name.mean, statistics.mean)
    with pytest.raises(ValueError, match="expected one of cache, dctnet, found 'imagenet'"):
        EvalTransform.of(native, "imagenet")  # type: ignore[arg-type]
    again = Normalization.from_dict(statistics.to_dict())
    assert again.kind == "dctnet"
    assert torch.equal(again.mean, statistics.mean)


def test_bfloat16_and_threads(native: FrequencyDataset) -> None:
    batch = native.read_batch(range(len(native)))
    expected = TrainTransform.of(native)(batch, seeded())
    found = TrainTransform.of(native, dtype=torch.bfloat16, threads=2)(batch, seeded())
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, expected.to(torch.bfloat16))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_transforms_give_the_same(native: FrequencyDataset, backend: str) -> None:
    transform = TrainTransform.of(native, colour=JITTER, erasing=RandomErasing())
    batch = native.read_batch(range(len(native)))
    compiled = torch.compile(transform, backend=backend)
    for seed in range(3):
        close(compiled(batch, seeded(seed)), transform(batch, seeded(seed)))
    torch.compiler.reset()


def test_what_does_not_fit_is_refused(stores: Path, native: FrequencyDataset) -> None:
    mask = ChannelMask.preset("24")
    unit = Normalization(mean=torch.zeros(24), std=torch.ones(24))
    with pytest.raises(ValueError, match=r"float32 or torch\.bfloat16, found torch\.float16"):
        EvalTransform(mask, crop=CROP, normalization=unit, dtype=torch.float16)
    with pytest.raises(ValueError, match="normalization of 24 channels, found 6"):
        EvalTransform(mask, crop=CROP, normalization=Normalization(mean=torch.zeros(6), std=torch.ones(6)))
    with pytest.raises(ValueError, match="opened with a crop"):
        EvalTransform.of(FrequencyDataset(stores / "native.zarr", channels="24"))
    luma = FrequencyDataset(stores / "native.zarr", channels=ChannelMask.from_indices([0, 1]), crop=CROP)
    with pytest.raises(ValueError, match="channels of Cb are wanted, and the batch holds none of Cb"):
        TrainTransform.of(native)(luma.read_batch([0]))
    large = EvalTransform(mask, crop=CentreCrop(size=400, resize=0), normalization=unit)
    with pytest.raises(ValueError, match="a crop of 400 pixels is larger than image 0 of"):
        large(native.read_batch([0]))
    dense = torch.zeros((1, 6, 4, 4), dtype=torch.int8)
    with pytest.raises(ValueError, match=r"expected coefficients \(images, 24, block_rows, block_cols\)"):
        EvalTransform(mask, crop=CROP, normalization=unit)(dense)


def test_a_batch_is_its_images_one_by_one(native: FrequencyDataset) -> None:
    transform = TrainTransform.of(native)
    whole = transform(native.read_batch(range(len(native))), seeded())
    generator = seeded()
    ones = [transform(native.read_batch([i]), generator) for i in range(len(native))]
    assert torch.equal(whole, torch.cat(ones))
    picked = native.read_batch(range(len(native))).select([5, 1])
    again = transform(native.read_batch([5, 1]), seeded(2))
    assert torch.equal(transform(picked, seeded(2)), again)
    assert isinstance(picked, FrequencyBatch)
    assert np.array_equal(picked.labels, native.labels[[5, 1]])

"""The operator on batches against the same steps in pixels, by scipy, numpy and Pillow, and against itself."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freqcache.batches import FrequencyBatch
from freqcache.crops import CentreCrop, RandomResizedCrop
from freqcache.resampling.device import resample_tensors
from freqcache.resampling.frequencies import layout
from freqcache.resampling.geometry import Crops
from freqcache.resampling.operator import resample, steps_by_place
from freqcache.transforms import RandomHorizontalFlip
from freqcache_formats.mask import ChannelMask
from tests.operators.images import ALL, SAMPLINGS, SIZES, in_pixels, make_batch

NAMES = tuple(SAMPLINGS)


def crops_of(batch, size, seed=0):
    return RandomResizedCrop(size=size).draw(batch.width, batch.height, torch.Generator().manual_seed(seed))


def one_of(crops, image):
    arrays = [field.name for field in fields(crops) if isinstance(getattr(crops, field.name), np.ndarray)]
    return replace(crops, **{name: getattr(crops, name)[image : image + 1] for name in arrays})


def boxes(batch, box, n, first, size, *, cut=False, flip=False):
    """Return the same box of every image: box as (start, length), both axes alike."""
    images = len(batch)
    whole = np.full(images, n)
    return Crops(
        top=np.full(images, float(box[0])),
        left=np.full(images, float(box[0])),
        height=np.full(images, float(box[1])),
        width=np.full(images, float(box[1])),
        n_rows=whole,
        n_columns=whole,
        first_row=np.full(images, first),
        first_column=np.full(images, first),
        size=(size, size),
        flip=np.full(images, flip),
        cut=cut,
    )


@pytest.mark.parametrize("size", [24, 64, 96])
@pytest.mark.parametrize("seed", range(3))
def test_random_crops_equal_pixels(oracle, size, seed):
    """Crop, Pillow's antialiased resize of the crop, mirror: every sampling, odd sizes."""
    names = [NAMES[(i + seed) % len(NAMES)] for i in range(len(SIZES))]
    batch = make_batch(names, SIZES, seed=seed)
    crops = crops_of(batch, size, seed)
    assert 0 < crops.flip.sum() < len(batch)
    found = resample(batch, crops, ALL).numpy()
    assert found.shape == (len(batch), 192, size // 8, size // 8)
    for image in range(len(batch)):
        top, left, height, width = (int(getattr(crops, name)[image]) for name in ("top", "left", "height", "width"))
        for component, plane in enumerate(in_pixels(oracle, batch, image)):
            part = found[image, 64 * component : 64 * component + 64]
            if plane is None:
                assert not part.any()
                continue
            resized = oracle.resize(plane[top : top + height, left : left + width], size, size)
            expected = oracle.block_dct(resized[:, ::-1] if crops.flip[image] else resized)
            np.testing.assert_allclose(part, expected, atol=3e-3)


@pytest.mark.parametrize("size", [8, 40, 88])
def test_centre_crops_equal_pixels(oracle, size):
    batch = make_batch(NAMES, SIZES)
    crops = CentreCrop(size=size, resize=96).draw(batch.width, batch.height)
    found = resample(batch, crops, ALL).numpy()
    for image, (width, height) in enumerate(SIZES):
        rows, columns = 96 * height // min(width, height), 96 * width // min(width, height)
        top, left = round((rows - size) / 2), round((columns - size) / 2)
        for component, plane in enumerate(in_pixels(oracle, batch, image)):
            if plane is not None:
                expected = oracle.block_dct(oracle.resize(plane, rows, columns)[top : top + size, left : left + size])
                np.testing.assert_allclose(found[image, 64 * component :][:64], expected, atol=3e-3)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    size=st.sampled_from([8, 32, 72]),
    wanted=st.lists(st.integers(0, 191), min_size=1, max_size=40, unique=True),
    held=st.one_of(st.none(), st.lists(st.integers(0, 191), min_size=1, max_size=100, unique=True)),
)
def test_masks_threads_single_images_and_torch_give_the_same(seed, size, wanted, held):
    channels = ChannelMask.from_indices(wanted)
    source = ALL if held is None else ChannelMask.from_indices(held)
    batch = make_batch(NAMES, SIZES, seed=seed, channels=source)
    crops = crops_of(batch, size, seed)
    found = resample(batch, crops, channels)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, resample(batch, crops, channels, threads=3))
    everything = resample(batch, crops, ALL)[:, torch.from_numpy(channels.indices)]
    torch.testing.assert_close(found, everything, rtol=0, atol=1e-4)
    for image in range(len(batch)):
        only = resample(batch.select([image]), one_of(crops, image), channels)
        assert torch.equal(found[image : image + 1], only)
    torch.testing.assert_close(by_torch(batch, crops, channels), found, rtol=1e-5, atol=1e-3)


def by_torch(batch, crops, channels):
    """Return what the operator of other devices gives."""
    return resample_tensors(
        batch.parts[0],
        starts=batch.starts,
        blocks=batch.blocks,
        sampling=batch.sampling,
        steps=steps_by_place(batch.quantization),
        axes=crops.axes(blocks=batch.blocks, sampling=batch.sampling, width=batch.width, height=batch.height),
        plan=layout(batch.channels, channels),
        grid=crops.grid,
    )


@pytest.mark.parametrize("crop", [CentreCrop(size=40), CentreCrop(size=8, resize=0), CentreCrop(size=96, resize=100)])
@pytest.mark.parametrize("most", [1 << 26, 1])
def test_torch_gives_the_same_of_centre_crops_and_in_groups(crop, most, monkeypatch):
    monkeypatch.setattr("freqcache.resampling.device._MOST_COEFFICIENTS", most)
    batch = make_batch(NAMES, SIZES)
    crops = crop.draw(batch.width, batch.height)
    torch.testing.assert_close(by_torch(batch, crops, ALL), resample(batch, crops, ALL), rtol=1e-5, atol=1e-3)


def test_torch_moves_whole_blocks_and_keeps_the_padding_of_the_edge():
    batch = make_batch(["4:4:4"], [(75, 101)])
    whole = CentreCrop(size=8).draw(batch.width, batch.height)
    crops = replace(
        whole,
        n_rows=np.array([101]),
        n_columns=np.array([75]),
        first_row=np.array([0]),
        first_column=np.array([0]),
        size=(101, 75),
    )
    stored = torch.stack(
        [
            torch.from_numpy(plane.astype(np.float32) * steps[:, None, None])
            for plane, steps in zip(batch[0][0].coefficients, batch[0][0].quantization, strict=True)
        ]
    ).view(192, 13, 10)
    assert torch.equal(resample(batch, crops, ALL)[0], stored)
    assert torch.equal(by_torch(batch, crops, ALL)[0], stored)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("preset", ["24", "192"])
def test_a_gpu_gives_the_same(preset):
    batch = make_batch(NAMES, SIZES)
    channels = ChannelMask.preset(preset)
    crops = crops_of(batch, 96)
    scale, offset = torch.rand(len(batch), len(channels)), torch.rand(1, len(channels))
    expected = resample(batch, crops, channels, scale=scale, offset=offset)
    found = resample(batch.to("cuda"), crops, channels, scale=scale.cuda(), offset=offset.cuda())
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_integers_of_both_kinds(dtype):
    small = make_batch(NAMES, SIZES, dtype=dtype)
    wide = replace(small, parts=(tuple(flat.to(torch.float32) for flat in small.parts[0]),))
    crops = crops_of(small, 40)
    assert torch.equal(resample(small, crops, ALL), resample(wide, crops, ALL))


def test_scale_and_offset_are_per_image_and_channel():
    batch = make_batch(NAMES, SIZES)
    mask = ChannelMask.preset("24-learned")
    crops = crops_of(batch, 48)
    scale, offset = torch.rand(len(batch), 24), torch.rand(1, 24)
    expected = resample(batch, crops, mask) * scale[:, :, None, None] + offset[:, :, None, None]
    torch.testing.assert_close(resample(batch, crops, mask, scale=scale, offset=offset), expected)
    gray = NAMES.index("gray")
    chroma = torch.tensor([channel.component != "Y" for channel in mask.channels])
    found = resample(batch, crops, mask, scale=scale, offset=offset)[gray, chroma]
    assert torch.equal(found, offset[0, chroma, None, None].expand_as(found))


@pytest.mark.parametrize("flip", [False, True])
def test_an_aligned_crop_moves_blocks_and_needs_no_other_frequency(flip):
    mask = ChannelMask.from_indices([0, 5, 63, 64, 70, 130])
    names, sizes = ["4:4:4"] * 3, [(80, 64), (75, 101), (64, 64)]
    full = make_batch(names, sizes)
    crops = boxes(full, (16, 40), 40, 8, 32, flip=flip)
    masked = make_batch(names, sizes, channels=mask)
    found = resample(masked, crops, mask)
    assert torch.equal(found, resample(full, crops, ALL)[:, torch.from_numpy(mask.indices)])
    for image in range(3):
        sample, _ = masked[image]
        for row, channel in enumerate(mask.channels):
            component = ("Y", "Cb", "Cr").index(channel.component)
            where = mask.frequencies[component].tolist().index(channel.storage_index % 64)
            blocks = sample.coefficients[component][where, 3:7, 3:7].astype(np.float32)
            blocks *= sample.quantization[component][where]
            expected = blocks[:, ::-1] * (1 - 2 * (channel.u % 2)) if flip else blocks
            assert (found[image, row].numpy() == expected).all()


def test_mirroring_the_mirrored_is_the_identity():
    batch = make_batch(NAMES, SIZES)
    crops = crops_of(batch, 64)
    plain, mirrored = (resample(batch, replace(crops, flip=np.full(7, flip)), ALL) for flip in (False, True))
    torch.testing.assert_close(RandomHorizontalFlip(ALL).flip(mirrored), plain, rtol=0, atol=1e-3)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_crop_of_a_resize_is_the_resize_of_a_crop(factor):
    """Where the filter may look beyond the box, and the box begins at a whole pixel of both grids."""
    batch = make_batch(["4:2:0", "4:4:4", "4:2:2"], [(80, 64), (96, 120), (75, 101)])
    larger = resample(batch, boxes(batch, (0, 64), 64 * factor, 16 * factor, 32 * factor), ALL)
    direct = resample(batch, boxes(batch, (16, 32), 32 * factor, 0, 32 * factor), ALL)
    torch.testing.assert_close(larger, direct, rtol=0, atol=1e-3)


def test_an_empty_batch_gives_nothing():
    batch = make_batch(NAMES, SIZES).select([])
    assert resample(batch, crops_of(batch, 32), ALL).shape == (0, 192, 4, 4)


def test_what_does_not_fit_is_refused():
    batch = make_batch(["4:4:4"], [(80, 64)])
    with pytest.raises(ValueError, match="box of 80 pixels at 0 is not inside the 64 pixels of image 0"):
        resample(batch, boxes(batch, (0, 80), 80, 0, 80), ALL)
    with pytest.raises(ValueError, match="crop of 48 rows at 24 is not inside the 64 resized rows of image 0"):
        boxes(batch, (0, 64), 64, 24, 48)
    with pytest.raises(ValueError, match="crops of 1 images, found 7"):
        resample(batch, crops_of(make_batch(NAMES, SIZES), 8), ALL)
    with pytest.raises(ValueError, match="blocks for the 90x64 pixels of image 0"):
        resample(replace(batch, width=np.array([90], np.int32)), boxes(batch, (0, 64), 64, 0, 64), ALL)
    with pytest.raises(ValueError, match="lie outside"):
        resample(replace(batch, starts=batch.starts + 1), boxes(batch, (0, 64), 64, 0, 64), ALL)
    good = boxes(batch, (0, 64), 64, 0, 64)
    huge = np.full((1, 3, 2), 2**31 - 1, np.int32)
    for changes in ({"blocks": huge}, {"starts": np.full((1, 3), 2**63 - 100)}, {"starts": batch.starts - 4}):
        with pytest.raises(ValueError, match="lie outside its arrays"):
            resample(replace(batch, **changes), good, ALL)
    half = batch.sampling.copy()
    half[0, 1] = 1, 0
    with pytest.raises(ValueError, match=r"two sampling factors or none of component 1 of image 0, found \[1, 0\]"):
        resample(replace(batch, sampling=half), good, ALL)
    flats = batch.parts[0]
    for bad in (
        tuple(flat.to(torch.uint8) for flat in flats),
        tuple(flat.double() for flat in flats),
        (flats[0].float(), *flats[1:]),
        tuple(torch.stack([flat, flat], 1).view(-1)[::2] for flat in flats),
    ):
        with pytest.raises(ValueError, match=r"expected (coefficients of one dtype|flat, contiguous)"):
            resample(replace(batch, parts=(bad,)), good, ALL)
    with pytest.raises(ValueError, match="threads: expected at least 1, found -1"):
        resample(batch, good, ALL, threads=-1)
    with pytest.raises(ValueError, match="whole pixels, which are cut out first, found fractions"):
        boxes(batch, (3.5, 10), 16, 0, 16, cut=True)
    with pytest.raises(ValueError, match="is not inside"):
        resample(batch, boxes(batch, (float("nan"), 64), 64, 0, 64), ALL)
    with pytest.raises(ValueError, match="numbers of 1 images"):
        replace(good, height=np.array([64.0, 64.0]))
    with pytest.raises(TypeError, match="mask of booleans"):
        batch.select(np.array([True]))
    with pytest.raises(ValueError, match=r"int8 or int16, found torch\.uint8"):
        FrequencyBatch.from_dense(torch.zeros(1, 192, 4, 4, dtype=torch.uint8), ALL, torch.ones(192))
    with pytest.raises(ValueError, match="steps"):
        FrequencyBatch.from_dense(torch.zeros(1, 24, 4, 4, dtype=torch.int8), ALL, torch.ones(192))

"""Samples found by slot and by path, with the coefficients that zarr reads and the pixels that Pillow decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

import freqcache
from freqcache.errors import PlotError, StoreError
from freqcache.plotting.stored import read_sample, source_pixels
from freqcache_formats.layout import Origin
from freqcache_formats.mask import ChannelMask


def slot_of(store: Path, path: str, split: str = "train") -> int:
    part = freqcache.open(store)[split]
    return next(slot for slot in range(part.metadata.slots) if part.source_path(slot) == path)


def test_a_native_sample_is_what_zarr_reads(caches):
    slot = slot_of(caches / "native.zarr", "train/bee/1.jpg")
    sample = read_sample(str(caches / "native.zarr"), slot, "train")
    assert (sample.store, sample.kind, sample.split, sample.slot) == ("native.zarr", "native", "train", slot)
    assert (sample.path, sample.label, sample.origin) == ("train/bee/1.jpg", "bee", Origin.EXTRACTED)
    group = zarr.open_group(caches / "native.zarr" / "train", mode="r")
    for component, name in enumerate(("y", "cb", "cr")):
        rows, cols = group["blocks"][slot, component]
        start = group["offset"][slot, component]
        plane = group[name][:, start : start + rows * cols].reshape(64, rows, cols)
        np.testing.assert_array_equal(sample.coefficients[component], plane)
        steps = group["quantization"][slot, component][:, None, None].astype(float)
        np.testing.assert_array_equal(sample.dequantized(component), plane * steps)


def test_a_fixed_sample_is_what_zarr_reads(caches):
    sample = read_sample(str(caches / "fixed.zarr"), "val/ant/0.jpg")
    group = zarr.open_group(caches / "fixed.zarr" / "val", mode="r")
    whole = group["coefficients"][sample.slot] * group["quantization"][:].astype(float)[:, None, None]
    np.testing.assert_array_equal(np.concatenate([sample.dequantized(c) for c in range(3)]), whole)
    assert (sample.kind, sample.split, sample.width, sample.height) == ("fixed", "val", 40, 40)


@pytest.mark.parametrize("name", ["train/ant/0.jpg", "train/bee/1.jpg", "train/ant/3.jpg", "val/bee/5.jpg"])
def test_its_picture_is_the_one_that_pillow_decodes(caches, name):
    """4:4:4, 4:2:2, grayscale and CMYK; upsampling of chroma and rounding differ a little."""
    sample = read_sample(str(caches / "native.zarr"), name)
    with Image.open(caches / "photos" / name) as image:
        decoded = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(source_pixels(sample, caches / "photos"), decoded)
    np.testing.assert_array_equal(source_pixels(sample, caches / "photos" / name), decoded)
    difference = np.abs(sample.rgb().astype(int) - decoded)
    assert sample.rgb().shape == decoded.shape
    assert difference.mean() < (1.5 if sample.origin == Origin.EXTRACTED else 4)


def test_the_crop_of_a_fixed_sample_is_that_of_its_source(caches):
    sample = read_sample(str(caches / "fixed.zarr"), "train/ant/0.jpg")
    pixels = source_pixels(sample, caches / "photos")
    assert pixels.shape == (40, 40, 3)
    assert np.abs(sample.rgb().astype(int) - pixels).mean() < 6


def test_bytes_of_samples_add_up_to_those_of_the_split(caches):
    for kind in ("native", "fixed"):
        path = caches / f"{kind}.zarr"
        part = freqcache.open(path)["train"]
        total = sum(read_sample(str(path), slot, "train").channel_bytes for slot in part.slots.tolist())
        np.testing.assert_allclose(total, part.channel_bytes())


def test_an_end_of_a_path_is_enough_where_it_is_the_only_one(caches):
    store = str(caches / "native.zarr")
    assert read_sample(store, "val/ant/1.jpg").split == "val"
    assert read_sample(store, "ant/1.jpg", "val").path == "val/ant/1.jpg"
    with pytest.raises(StoreError, match=r"2 samples come from files called 'ant/1.jpg': train .*, val .*; give more"):
        read_sample(store, "ant/1.jpg")
    with pytest.raises(StoreError, match=r"4 samples come from files called '1.jpg': .*, \.\.; give more of the path"):
        read_sample(store, "1.jpg")
    for name in ("nt/1.jpg", "ant", "", "train/ant/1.jp"):  # no whole name, or no end
        with pytest.raises(StoreError, match=f"no sample of the source path '{name}'"):
            read_sample(store, name)
    with pytest.raises(StoreError, match=r"no sample of the source path 'train/ant/1.jpg' in the split val"):
        read_sample(store, "train/ant/1.jpg", "val")


def test_slots_that_hold_nothing_are_said(caches):
    store = str(caches / "native.zarr")
    with pytest.raises(StoreError, match=r"train: there is no slot 99; there are 0 to 11"):
        read_sample(store, 99, "train")
    with pytest.raises(StoreError, match=r"slots are numbered in each split \(train, val\): say which"):
        read_sample(store, 0)
    absent = slot_of(caches / "native.zarr", "train/ant/2.jpg")
    for index in (absent, str(absent), "train/ant/2.jpg"):
        with pytest.raises(StoreError, match=f"slot {absent} is absent"):
            read_sample(store, index, "train")
    with pytest.raises(StoreError, match="no split 'test'"):
        read_sample(store, 0, "test")


def test_sources_that_cannot_be_read_are_said(caches, tmp_path):
    sample = read_sample(str(caches / "native.zarr"), "train/bee/1.jpg")
    with pytest.raises(PlotError, match=r"train/bee/1.jpg: cannot be read: No such file"):
        source_pixels(sample, tmp_path)
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(PlotError, match=r"x.jpg: cannot be decoded"):
        source_pixels(sample, tmp_path / "x.jpg")


def test_left_out_channels_are_zero(caches):
    """Nothing but the DC of luma: every block is one gray, the mean of the block's luma."""
    sample = read_sample(str(caches / "native.zarr"), "train/ant/0.jpg")
    pixels = sample.rgb(ChannelMask.from_indices([0]))
    block = pixels[8:16, 8:16].reshape(-1, 3)
    assert (block == block[0, 0]).all()
    dc = sample.dequantized(0)[0, 1, 1]
    assert block[0, 0] == np.clip(np.rint(dc / 8 + 128), 0, 255)

"""Images from some channels: PSNR against Pillow's mean squares, pixels against scipy's inverse DCT."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log10

import numpy as np
import pytest
import scipy.fft
import zarr
from pictures import words_of
from PIL import Image, ImageChops, ImageStat

from freqcache.errors import MaskError, PlotError
from freqcache.plotting.reconstruction import draw_reconstructions, reconstruct, save_reconstructions
from freqcache.plotting.stored import read_sample, source_pixels
from freqcache.quality import psnr
from freqcache_formats.mask import ChannelMask

pytest.importorskip("matplotlib")


def test_psnr_is_that_of_pillows_mean_squares():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (20, 30, 3)).astype(np.uint8) for _ in range(2))
    rms = ImageStat.Stat(ImageChops.difference(Image.fromarray(a), Image.fromarray(b))).rms
    assert psnr(a, b) == pytest.approx(10 * log10(255**2 / np.mean(np.square(rms))))


def test_psnr_by_hand():
    a = np.zeros((2, 2), np.uint8)
    b = np.array([[0, 0], [0, 10]], np.uint8)
    assert psnr(a, b) == psnr(b, a) == pytest.approx(10 * log10(65025 / 25))
    assert psnr(np.array([200], np.uint8), np.array([10], np.uint8)) == pytest.approx(20 * log10(255 / 190))
    assert psnr(a, a) == inf
    assert psnr(np.zeros(4), np.full(4, 0.1), peak=1) == pytest.approx(20)
    for other in (np.zeros((2, 3)), np.zeros(4)):
        with pytest.raises(ValueError, match="one shape"):
            psnr(a, other)
    with pytest.raises(ValueError, match="one shape"):
        psnr(np.zeros(0), np.zeros(0))


def test_pixels_are_those_of_scipys_inverse_transform(caches):
    """Of a fixed sample, where chroma is on the luma grid."""
    sample = read_sample(str(caches / "fixed.zarr"), "train/bee/0.jpg")
    group = zarr.open_group(caches / "fixed.zarr" / "train", mode="r")
    whole = group["coefficients"][sample.slot] * group["quantization"][:].astype(float)[:, None, None]
    mask = ChannelMask.preset("24")
    blocks = np.zeros((3, 5, 5, 8, 8))
    for channel in mask.channels:
        blocks[("Y", "Cb", "Cr").index(channel.component), :, :, channel.v, channel.u] = whole[channel.storage_index]
    planes = scipy.fft.idctn(blocks, axes=(3, 4), norm="ortho").transpose(0, 1, 3, 2, 4).reshape(3, 40, 40)
    y, cb, cr = planes[0] + 128, planes[1], planes[2]
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    expected = np.clip(rgb, 0, 255)
    (made,) = reconstruct(sample, ["24"], sample.rgb())
    assert np.abs(made.pixels - expected).max() < 0.51
    assert made.psnr == pytest.approx(psnr(made.pixels, sample.rgb()))
    assert made.bytes == pytest.approx(sample.channel_bytes[mask.indices].sum())


def test_more_channels_are_nearer_and_all_are_equal(caches):
    sample = read_sample(str(caches / "native.zarr"), "train/ant/1.jpg")
    made = reconstruct(sample, ["6", "24", "48", "64", "all"], sample.rgb())
    values = [one.psnr for one in made]
    assert values == sorted(values)
    assert values[-1] == inf
    assert 15 < values[0] < 40
    assert [one.bytes for one in made] == sorted(one.bytes for one in made)
    assert made[-1].caption.startswith("192 channels (all)\nequal, ")
    decoded = source_pixels(sample, caches / "photos")
    (against_source,) = reconstruct(sample, ["all"], decoded)
    assert 35 < against_source.psnr < inf


def test_captions_are_in_the_picture(caches, tmp_path):
    path = tmp_path / "a.svg"
    store = str(caches / "native.zarr")
    mask = tmp_path / "mine.json"
    ChannelMask.from_indices([0, 1, 64], name="x").write(mask)
    made = draw_reconstructions(store, "val/bee/1.jpg", path, channels=["6", str(mask)])
    words = words_of(path)
    assert f"{made[0].psnr:.1f} dB, {made[0].bytes:.0f} B" in words
    assert {"all 192 channels", "6 channels", "3 channels (mine)"} <= set(words)
    draw_reconstructions(store, "val/bee/1.jpg", tmp_path / "b.svg", channels=["6", str(mask)])
    assert path.read_bytes() == (tmp_path / "b.svg").read_bytes()
    draw_reconstructions(store, "val/bee/1.jpg", path, channels=["6"], source=caches / "photos")
    assert {"1.jpg", "the original, decoded by Pillow"} <= set(words_of(path))


def test_channels_that_a_store_lacks_are_said(caches):
    sample = replace(read_sample(str(caches / "native.zarr"), 0, "train"), held=ChannelMask.preset("6"))
    (made,) = reconstruct(sample, ["24"], sample.rgb())
    assert made.caption.startswith("6 channels (24), 18 not in the store\n")
    with pytest.raises(PlotError, match="holds none of the 1 channels of far"):
        reconstruct(sample, [ChannelMask.from_indices([191], name="far")], sample.rgb())


def test_what_is_no_mask_is_said_before_the_store_is_read(tmp_path):
    with pytest.raises(MaskError, match="no such mask file, and no preset"):
        draw_reconstructions("gone.zarr", 0, tmp_path / "x.png", channels=["25"])


@pytest.mark.parametrize(
    ("width", "height", "count"), [(8, 8, 1), (400, 16, 4), (16, 400, 7), (96, 64, 3), (64, 96, 7)]
)
def test_pictures_of_any_shape_and_number_are_drawn(caches, tmp_path, width, height, count):
    sample = read_sample(str(caches / "fixed.zarr"), 0, "train")
    planes = tuple(np.ones((64, -(-height // 8), -(-width // 8))) for _ in range(3))
    sample = replace(sample, coefficients=planes, width=width, height=height)
    made = reconstruct(sample, ["6"] * count, sample.rgb())
    save_reconstructions(tmp_path / "a.png", sample, made, sample.rgb(), name="original", dpi=20)
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).std() > 0

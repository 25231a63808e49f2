"""Tiles: every coefficient at its frequency and block, in a colour that tells its sign."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pictures import words_of
from PIL import Image

from freqcache.plotting.stored import read_sample
from freqcache.plotting.tiles import draw_tiles, gap_of, mosaic, save_tiles, thin_tile, tile_scale
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.mask import ChannelMask

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def sample(caches):
    return read_sample(str(caches / "fixed.zarr"), 0, "train")


def test_tiles_stand_at_their_frequencies():
    tiles = np.random.default_rng(0).normal(size=(64, 5, 3)) * 10
    whole = mosaic(tiles, np.arange(64) != 9)
    gap = gap_of(5, 3)
    assert whole.shape == (8 * 5 + 7 * gap, 8 * 3 + 7 * gap)
    for channel in ALL_CHANNELS[:64]:
        place = whole[channel.v * (5 + gap) :, channel.u * (3 + gap) :][:5, :3]
        tile = tiles[channel.storage_index]
        if channel.storage_index == 9:
            assert np.isnan(place).all()
        else:
            np.testing.assert_allclose(place, tile - tile.mean() if channel.storage_index == 0 else tile)
    assert np.isnan(whole).sum() == whole.size - 63 * 15


def test_a_tile_has_a_scale_of_its_own():
    tile = np.zeros((10, 10))
    tile[0, :4] = (2, -2, 2, -4)
    assert tile_scale(tile) == pytest.approx(np.quantile([2, 2, 2, 4], 0.99))
    assert tile_scale(np.zeros((2, 2))) == 0
    whole = mosaic(np.stack([np.zeros((10, 10)), tile] * 32), np.ones(64, bool), "tile")
    assert np.nanmax(np.abs(whole)) == pytest.approx(4 / tile_scale(tile))
    assert np.nanmin(np.abs(whole)) == 0


def test_large_tiles_show_the_largest_of_each_square():
    rng = np.random.default_rng(1)
    tile = rng.normal(size=(37, 50))
    thin, step = thin_tile(tile, 20)
    assert (thin.shape, step) == ((13, 17), 3)
    for row in range(13):
        for column in range(17):
            square = tile[3 * row : 3 * row + 3, 3 * column : 3 * column + 3].ravel()
            assert thin[row, column] == square[np.abs(square).argmax()]
    assert thin_tile(tile, 50) == (pytest.approx(tile), 1)


@pytest.mark.parametrize(
    ("sign", "colour", "scale"), [(1, (45, 0, 75), "common"), (-1, (127, 59, 8), "common"), (1, (45, 0, 75), "tile")]
)
def test_colours_tell_the_sign_and_the_place(sample, tmp_path, sign, colour, scale):
    """One frequency of luma in all blocks: a square of one colour where that frequency's tile is."""
    centres = {}
    for v, u in ((1, 1), (1, 6), (6, 1)):
        planes = [np.zeros((64, 5, 5)) for _ in range(3)]
        index = next(channel.storage_index for channel in ALL_CHANNELS[:64] if (channel.v, channel.u) == (v, u))
        planes[0][index] = sign * 300
        made = replace(sample, coefficients=tuple(planes), steps=np.ones((3, 64)))
        path = tmp_path / f"{v}{u}.png"
        save_tiles(path, made, scale=scale, dpi=40)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        height, width, _ = pixels.shape
        luma = pixels[: height // 2, width // 2 :]  # the second of the four panels
        there = np.argwhere(np.abs(luma - colour).max(axis=2) < 6)
        side = 248 / 8  # pixels of a tile, about
        assert 0.6 * side**2 < len(there) < 1.2 * side**2
        centres[v, u] = there.mean(axis=0)
    across, down = centres[1, 6] - centres[1, 1], centres[6, 1] - centres[1, 1]
    assert across[1] > 4 * side
    assert abs(across[0]) < 2
    assert down[0] > 4 * side
    assert abs(down[1]) < 2


def test_titles_say_what_is_shown(caches, tmp_path):
    path = tmp_path / "a.svg"
    sample = draw_tiles(str(caches / "native.zarr"), "val/bee/1.jpg", path)
    words = words_of(path)
    assert f"native.zarr, val, slot {sample.slot}: val/bee/1.jpg (extracted)" in words
    assert {"bee", f"{sample.width} x {sample.height} pixels", "u (horizontal frequency)"} <= set(words)
    for name, plane in zip(("Y", "Cb", "Cr"), sample.coefficients, strict=True):
        assert f"{name}: tiles of {plane.shape[2]} x {plane.shape[1]} blocks" in words
    draw_tiles(str(caches / "native.zarr"), "val/bee/1.jpg", tmp_path / "b.svg")
    assert path.read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_gray_samples_have_one_panel_and_missing_channels_are_counted(caches, tmp_path):
    gray = draw_tiles(str(caches / "native.zarr"), "val/bee/3.jpg", tmp_path / "gray.svg")
    words = words_of(tmp_path / "gray.svg")
    assert f"{gray.width} x {gray.height} pixels, grayscale" in words
    assert not [word for word in words if word.startswith("Cb")]
    color = read_sample(str(caches / "native.zarr"), "val/bee/1.jpg")
    save_tiles(tmp_path / "part.svg", replace(color, held=ChannelMask.preset("24")))
    words = words_of(tmp_path / "part.svg")
    assert [word for word in words if "not in the store" in word] == [
        f"{count} channels are not in the store" for count in (48, 60, 60)
    ]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 300), (300, 2)])
def test_odd_shapes_are_drawn(sample, tmp_path, rows, columns):
    planes = tuple(np.full((64, rows, columns), 3.0) for _ in range(3))
    save_tiles(tmp_path / "a.svg", replace(sample, coefficients=planes, width=8 * columns, height=8 * rows), dpi=20)
    words = words_of(tmp_path / "a.svg")
    assert ("the largest of each 2 x 2 is shown" in words) == (max(rows, columns) > 160)

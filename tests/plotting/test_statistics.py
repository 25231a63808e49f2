"""Statistics as pictures: the numbers are those of the coefficients that zarr reads."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import zarr
from pictures import words_of

import freqcache
from freqcache.errors import StoreError
from freqcache.plotting.heatmaps import in_a_cell
from freqcache.plotting.statistics import draw_statistics, read_statistics, save_statistics

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fixed(caches):
    return read_statistics(str(caches / "fixed.zarr"), "train")


def test_numbers_are_those_of_the_coefficients(caches, fixed):
    split = freqcache.open(caches / "fixed.zarr")["train"]
    group = zarr.open_group(caches / "fixed.zarr" / "train", mode="r")
    values = group["coefficients"][:][split.slots] * group["quantization"][:].astype(float)[:, None, None]
    assert fixed.samples == len(values) == 11
    np.testing.assert_allclose(fixed.energy, (values**2).mean(axis=(0, 2, 3)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fixed.zero_fraction, (values == 0).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(fixed.bytes, split.channel_bytes() / 11)


def test_the_first_channels_have_what_they_have(fixed):
    energy = np.zeros(192)
    energy[[5, 100, 64]] = (1, 6, 3)
    some = replace(fixed, mean=np.zeros(192), std=np.sqrt(energy), bytes=np.arange(192.0))
    assert some.order()[:3].tolist() == [100, 64, 5]
    np.testing.assert_allclose(some.shares(some.energy)[:4], [0.6, 0.9, 1, 1])
    np.testing.assert_allclose(some.shares(some.bytes)[:3], np.cumsum([100, 64, 5]) / np.arange(192).sum())
    assert some.shares(np.zeros(192)).tolist() == [0] * 192


def test_the_picture_shows_them(fixed, tmp_path):
    save_statistics(tmp_path / "a.svg", fixed)
    words = words_of(tmp_path / "a.svg")
    assert "fixed.zarr (fixed), train, 11 images: dequantized coefficients of each channel" in words
    cells = [in_a_cell(value) for value in fixed.energy]
    assert set(cells) <= set(words)
    assert in_a_cell(100 * fixed.zero_fraction[70]) in words
    assert {"energy", "deviation", "coefficients that are zero", "mean", "stored bytes", "rank by energy"} <= set(words)
    kib = f"what the first channels have of all ({fixed.bytes.sum() / 1024:.1f} KiB per image)"
    assert kib in words


def test_channels_that_are_not_there_stay_empty(fixed, tmp_path):
    """Of a store that holds some of the channels only, or gray images only."""
    there = np.arange(192) < 64
    gray = replace(
        fixed,
        **{name: np.where(there, getattr(fixed, name), np.nan) for name in ("mean", "std", "zero_fraction", "bytes")},
    )
    assert len(gray.order()) == len(gray.shares(gray.bytes)) == 64
    save_statistics(tmp_path / "gray.svg", gray)
    cells = [word for word in words_of(tmp_path / "gray.svg") if re.fullmatch(r"-?\d[\d.]*[kM]?", word)]
    assert 4 * 64 <= len(cells) < 4 * 64 + 300  # and the numbers of the axes
    nothing = replace(fixed, **{name: np.full(192, np.nan) for name in ("mean", "std", "zero_fraction", "bytes")})
    save_statistics(tmp_path / "nothing.png", nothing, dpi=30)


def test_a_store_is_drawn_and_none_is_said(caches, tmp_path):
    draw_statistics(str(caches / "native.zarr"), tmp_path / "native.png", split="val", dpi=30)
    assert (tmp_path / "native.png").stat().st_size > 10_000
    with pytest.raises(StoreError, match="no such store"):
        draw_statistics(str(tmp_path / "gone.zarr"), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()

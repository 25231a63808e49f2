"""Heat maps: the right number in the right cell, outlines, and matplotlib as an extra."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from freqcache.errors import TrainingError
from freqcache.plotting import MissingPlotExtra, component_grids, save_heatmap
from freqcache_formats.mask import ChannelMask


def test_grids_are_in_natural_order():
    mask = ChannelMask.preset("192")
    values = np.empty(192)
    values[mask.indices] = mask.natural_indices  # 64 * component + 8 * v + u, as DCTNet numbers channels
    np.testing.assert_array_equal(component_grids(values), np.arange(192).reshape(3, 8, 8))


def test_grids_want_192_numbers():
    with pytest.raises(ValueError, match=r"192.*\(24,\)"):
        component_grids(np.zeros(24))


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_heatmap_is_an_image_with_outlines(tmp_path):
    pytest.importorskip("matplotlib")
    values = np.linspace(0.9, 0.2, 192)
    mask = ChannelMask.preset("24")
    save_heatmap(tmp_path / "plain.png", values)
    save_heatmap(tmp_path / "outlined.png", values, selected=mask, title="P(on), run")
    plain, outlined = _pixels(tmp_path / "plain.png"), _pixels(tmp_path / "outlined.png")
    assert min(plain.shape[:2]) > 400

    def red(image):
        return int(((image[..., 0] > 240) & (image[..., 1] < 20) & (image[..., 2] < 20)).sum())

    assert red(plain) == 0
    assert red(outlined) > 24 * 4 * 30  # 24 cells, four sides each


def test_missing_cells_and_one_colour_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    values = np.full(192, np.nan)
    values[:24] = 0.5
    save_heatmap(tmp_path / "part.png", values)
    assert _pixels(tmp_path / "part.png").std() > 0


def test_matplotlib_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPlotExtra, match=r"pip install 'freqcache\[plot\]'"):
        save_heatmap(tmp_path / "no.png", np.zeros(192))
    assert not list(tmp_path.iterdir())


def test_unwritable_heatmaps_are_one_error(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(TrainingError, match="cannot write the heat map"):
        save_heatmap(tmp_path / "missing" / "map.png", np.zeros(192))
    with pytest.raises(TrainingError, match="cannot write the heat map"):
        save_heatmap(tmp_path / "map.nonsense", np.zeros(192))

"""Heat maps: the right number in the right cell, and outlines."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from pictures import words_of
from PIL import Image

from freqcache.plotting.heatmaps import HeatRow, component_grids, in_a_cell, save_heatmap, save_heatmaps
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
        return int((abs(image - (213, 94, 0)) < 20).all(axis=-1).sum())

    assert red(plain) == 0
    assert red(outlined) > 24 * 4 * 30  # 24 cells, four sides each


def test_missing_cells_and_one_colour_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    values = np.full(192, np.nan)
    values[:24] = 0.5
    save_heatmap(tmp_path / "part.png", values)
    assert _pixels(tmp_path / "part.png").std() > 0


def test_rows_stand_above_each_other_with_their_numbers(tmp_path):
    """An SVG keeps its text: every cell's number, in the order in which the cells are drawn."""
    pytest.importorskip("matplotlib")
    mask = ChannelMask.preset("6")
    energy = np.geomspace(3e5, 2e-3, 192)
    energy[191] = 0
    share = np.linspace(0.9, 0.2, 192)
    rows = [
        HeatRow(values=share, title="first", label="P(on)"),
        HeatRow(values=energy, title="second", label="energy", log=True),
        HeatRow(values=np.where(np.arange(192) < 100, np.nan, 1 + 1e-8), title="third", label="deviation"),
    ]
    rows = [replace(row, selected=mask) for row in rows]
    save_heatmaps(tmp_path / "rows.svg", rows, title="a run")
    words = words_of(tmp_path / "rows.svg")
    expected = [f"{value:.2f}" for value in component_grids(share).ravel()]
    start = words.index("0.90")
    cells = [word for word in words[start:] if re.fullmatch(r"0\.[2-9][0-9]", word)][:192]
    assert sorted(cells) == sorted(expected)
    assert {"300k", "1.00", "0"} <= set(words)
    assert words.count("1.00") >= 92
    assert [word for word in words if word in ("first", "second", "third")] == ["first", "second", "third"]
    assert sum(word.startswith("Y: 4 selected") for word in words) == 3
    assert "a run, 6 channels outlined" in words
    save_heatmaps(tmp_path / "again.svg", rows, title="a run")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "rows.svg").read_bytes()


def test_energies_spread_over_the_colours_by_their_logarithm(tmp_path):
    pytest.importorskip("matplotlib")
    values = np.geomspace(1e5, 1e-2, 192)
    for name, log in (("linear", False), ("log", True)):
        save_heatmaps(tmp_path / f"{name}.png", [HeatRow(values=values, title="", label="", log=log)], dpi=40)
    colours = [len(np.unique(_pixels(tmp_path / f"{name}.png").reshape(-1, 3), axis=0)) for name in ("linear", "log")]
    assert colours[1] > 1.5 * colours[0]


def test_nothing_but_zeros_and_nothing_at_all_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for number, values in enumerate((np.zeros(192), np.full(192, np.nan))):
        for log in (False, True):
            path = tmp_path / f"{number}{log}.png"
            save_heatmaps(path, [HeatRow(values=values, title="", label="", log=log)], dpi=40)
            assert _pixels(path).std() > 0


def test_close_probabilities_show_a_third_decimal(tmp_path):
    pytest.importorskip("matplotlib")
    save_heatmap(tmp_path / "close.svg", np.linspace(0.801, 0.849, 192))
    assert {"0.801", "0.849"} <= set(words_of(tmp_path / "close.svg"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.004, "0.00"),
        (0.874, "0.87"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (456.4, "456"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (12_345, "12.3k"),
        (295_481, "295k"),
        (999_600, "1.00M"),
        (-12.34, "-12.3"),
        (-0.001, "0.00"),
    ],
)
def test_numbers_fit_their_cells(value, shown):
    assert in_a_cell(value) == shown


def test_signed_numbers_part_at_zero(tmp_path):
    """Channels below zero are brown, those above purple, whatever their magnitudes."""
    pytest.importorskip("matplotlib")
    values = np.where(np.arange(192) < 64, -1.0, np.where(np.arange(192) < 128, 1000.0, 0.0))
    save_heatmaps(tmp_path / "signed.png", [HeatRow(values=values, title="", label="", signed=True)], dpi=40)
    image = _pixels(tmp_path / "signed.png")
    left, middle = image[:, : image.shape[1] // 4], image[:, image.shape[1] * 2 // 5 : image.shape[1] * 3 // 5]
    brown, purple = ((part[..., 0] - part[..., 2]).ravel() for part in (left, middle))
    assert (brown > 60).mean() > 0.4
    assert (purple < -20).mean() > 0.4


def test_rows_outline_each_its_own_channels(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        HeatRow(values=np.linspace(0, 1, 192), title=name, label="", selected=ChannelMask.preset(name))
        for name in ("6", "24")
    ]
    save_heatmaps(tmp_path / "rows.svg", rows, title="two runs")
    words = words_of(tmp_path / "rows.svg")
    assert [word for word in words if "selected" in word] == [
        f"{component}: {count} selected"
        for component, count in (("Y", 4), ("Cb", 1), ("Cr", 1), ("Y", 16), ("Cb", 4), ("Cr", 4))
    ]
    assert "two runs" in words  # without a number of channels: they have not the same

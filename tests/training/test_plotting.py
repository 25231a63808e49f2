"""Heat maps: the right number in the right cell, outlines, and matplotlib as an extra."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from PIL import Image

from freqcache.errors import TrainingError
from freqcache.plotting import (
    HeatRow,
    MissingPlotExtra,
    check_heatmap,
    component_grids,
    in_a_cell,
    save_heatmap,
    save_heatmaps,
)
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
    with pytest.raises(TrainingError, match=r"expected a name that ends in \.png or \.svg or \.pdf"):
        check_heatmap(tmp_path / "map.bmp")
    check_heatmap(tmp_path / "map.PNG")


def _words(path):
    return [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))]


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
    save_heatmaps(tmp_path / "rows.svg", rows, selected=mask, title="a run")
    words = _words(tmp_path / "rows.svg")
    expected = [f"{value:.2f}" for value in component_grids(share).ravel()]
    start = words.index("0.90")
    cells = [word for word in words[start:] if re.fullmatch(r"0\.[2-9][0-9]", word)][:192]
    assert sorted(cells) == sorted(expected)
    assert {"300k", "1.00", "0"} <= set(words)
    assert words.count("1.00") >= 92
    assert [word for word in words if word in ("first", "second", "third")] == ["first", "second", "third"]
    assert sum(word.startswith("Y: 4 selected") for word in words) == 3
    assert "a run, 6 channels outlined" in words
    save_heatmaps(tmp_path / "again.svg", rows, selected=mask, title="a run")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "rows.svg").read_bytes()
    for name in ("a.pdf", "b.pdf"):
        save_heatmaps(tmp_path / name, rows, selected=mask, title="a run")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    save_heatmaps(tmp_path / "rows.png", rows, selected=mask, title="a run")
    save_heatmaps(tmp_path / "row.png", rows[:1], selected=mask, title="a run")
    assert _pixels(tmp_path / "rows.png").shape[0] > 2.5 * _pixels(tmp_path / "row.png").shape[0]


def test_energies_spread_over_the_colours_by_their_logarithm(tmp_path):
    pytest.importorskip("matplotlib")
    values = np.geomspace(1e5, 1e-2, 192)
    for name, log in (("linear", False), ("log", True)):
        save_heatmaps(tmp_path / f"{name}.png", [HeatRow(values=values, title="", label="", log=log)])
    colours = [len(np.unique(_pixels(tmp_path / f"{name}.png").reshape(-1, 3), axis=0)) for name in ("linear", "log")]
    assert colours[1] > 1.5 * colours[0]


def test_nothing_but_zeros_and_nothing_at_all_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    for number, values in enumerate((np.zeros(192), np.full(192, np.nan))):
        for log in (False, True):
            path = tmp_path / f"{number}{log}.png"
            save_heatmaps(path, [HeatRow(values=values, title="", label="", log=log)])
            assert _pixels(path).std() > 0


def test_close_probabilities_show_a_third_decimal(tmp_path):
    pytest.importorskip("matplotlib")
    save_heatmap(tmp_path / "close.svg", np.linspace(0.801, 0.849, 192))
    assert {"0.801", "0.849"} <= set(_words(tmp_path / "close.svg"))


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
    ],
)
def test_numbers_fit_their_cells(value, shown):
    assert in_a_cell(value) == shown

"""What all pictures share: files that depend on nothing but what is drawn, and errors before and while writing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pictures import words_of
from PIL import Image

from freqcache.errors import PlotError
from freqcache.plotting.heatmaps import save_heatmap
from freqcache.plotting.style import MissingPlotExtra, check_picture, in_bytes, picture, text

mpl = pytest.importorskip("matplotlib")


def _draw(path, dpi=50):
    with picture(path, width=3, height=2, dpi=dpi) as figure:
        axes = figure.subplots()
        axes.plot([1, 3, 2])
        axes.set_title("a title")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_same_picture_has_the_same_bytes(tmp_path, suffix):
    """Whatever a user's own settings say; and these stay as they were."""
    _draw(tmp_path / f"a{suffix}")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        _draw(tmp_path / f"b{suffix}")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2  # no other file is left


def test_png_has_the_pixels_asked_for_and_svg_has_text(tmp_path):
    _draw(tmp_path / "a.png", dpi=80)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (240, 160)
    _draw(tmp_path / "a.svg")
    assert "a title" in words_of(tmp_path / "a.svg")
    assert "date" not in (tmp_path / "a.svg").read_text(encoding="utf-8").lower()


def test_matplotlib_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPlotExtra, match=r"pip install 'freqcache\[plot\]'"):
        save_heatmap(tmp_path / "no.png", np.zeros(192))
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_written_are_one_error(tmp_path):
    with pytest.raises(PlotError, match=r"no such folder to write map.png to"):
        _draw(tmp_path / "missing" / "map.png")
    for name in ("map.bmp", "map", ".png"):
        with pytest.raises(PlotError, match=r"expected a name that ends in \.png or \.svg or \.pdf"):
            check_picture(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PlotError, match="is a folder"):
        check_picture(tmp_path / "folder.png")
    with pytest.raises(PlotError, match="too many pixels"):
        _draw(tmp_path / "map.png", dpi=20_000)
    check_picture(tmp_path / "map.PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def full(_self, path, **_options):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(PlotError, match="No space left on device"):
        _draw(tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("daisy", "daisy"),
        ("$1 or $2", r"\$1 or \$2"),
        ("bad\udce9\n", "bad��"),
        ("a" * 30 + "b" * 40, "a" * 6 + "…" + "b" * 13),
    ],
)
def test_words_are_made_fit(words, shown):
    assert text(words, 20) == shown


def test_letters_that_the_font_lacks_and_formulas_are_drawn_without_a_warning(tmp_path):
    with picture(tmp_path / "a.svg", width=3, height=2) as figure:
        figure.suptitle(text("$x^2$ 日本 \udce9"))
    assert "$x^2$ 日本 \ufffd" in words_of(tmp_path / "a.svg")
    with picture(tmp_path / "a.png", width=3, height=2) as figure:
        figure.suptitle(text("日本"))


def test_bytes_have_units():
    assert [in_bytes(n) for n in (0, 1023, 1024, 6 * 1024, 3 * 1024**2)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "6.0 KiB",
        "3.0 MiB",
    ]

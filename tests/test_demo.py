"""The demo on the photographs that ship with the package, with as little training as selects anything."""

from __future__ import annotations

from pathlib import Path

import pytest

import freqcache
from freqcache.demo import photographs, run_demo
from freqcache.errors import TrainingError
from freqcache_formats import ChannelMask


def test_the_photographs_are_five_classes_in_two_splits() -> None:
    for split, count in (("train", 22), ("val", 8)):
        folders = sorted((photographs() / split).iterdir())
        assert [folder.name for folder in folders] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
        assert all(len(list(folder.glob("*.jpg"))) == count for folder in folders)


def test_the_whole_road(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "demo", k=10, epochs=2)
    store = freqcache.open(tmp_path / "demo" / "flowers.zarr")
    assert len(store["train"]) == 110
    assert len(store["val"]) == 40
    mask = ChannelMask.read(result.mask)
    assert len(mask) == 10
    assert mask.cache is not None
    assert mask.cache.id == store.id
    assert result.heatmap == tmp_path / "demo" / "heatmap.png"
    assert result.heatmap.read_bytes()[:4] == b"\x89PNG"
    rows = result.table().splitlines()
    assert [row.split()[-4] for row in rows[2:]] == ["192", "192", "10"]
    sizes = [float(row.split()[-3].replace(",", "")) for row in rows[2:]]
    assert sizes[0] == sizes[1] > sizes[2] > 0


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(TrainingError, match="not an empty folder"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

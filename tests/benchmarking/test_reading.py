"""Measuring reading: what is read, how much, and what is said where something cannot be measured. No time is tested."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from photographs import write_tree

import freqcache
from freqcache.benchmarking import page_cache
from freqcache.benchmarking.options import BenchOptions
from freqcache.benchmarking.page_cache import NotDroppedError
from freqcache.benchmarking.reading import measure_reading
from freqcache.benchmarking.units import units_of
from freqcache.errors import StoreError
from freqcache_formats import ChannelMask

GROUPS = np.repeat([0, 1, 3, 4], [5, 3, 4, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    write_tree(folder / "photos", per_class=9)
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", freqcache.BuildOptions(size=32), workers=1, quiet=True)
    return folder


def quick(**options: object) -> BenchOptions:
    values: dict[str, object] = {"channels": ["6", "24"], "repeats": 2, "seconds": 30, "batch_size": 4}
    return BenchOptions(**(values | options))  # type: ignore[arg-type]


def state_of(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("kind", ["native", "fixed"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_configuration_is_measured_and_nothing_is_changed(folder: Path, kind: str, threads: int) -> None:
    path = folder / f"{kind}.zarr"
    before = state_of(folder)
    report = measure_reading(path, quick(source=folder / "photos", threads=threads, states=["warm"]), quiet=True)
    assert state_of(folder) == before
    assert (report.kind, report.split, report.samples, report.threads) == (kind, "train", 18, threads)
    found = [(m.reader, m.channels, m.n_channels, m.order, m.state) for m in report.measurements]
    assert found == [
        *(
            ("freqcache", name, int(name), order, "warm")
            for name in ("6", "24")
            for order in ("stored", "groups", "samples")
        ),
        ("Pillow", "", 0, "groups", "warm"),
    ]
    split = freqcache.open(path)["train"]
    for m in report.measurements:
        assert 1 <= len(m.rates) <= 2
        assert all(rate > 0 for rate in m.rates)
        assert 1 <= m.images <= 18
        assert not m.hot
        ratio = report.ratio(m)
        assert ratio is not None
        assert ratio > 0
        if m.reader == "freqcache":
            assert m.bytes_per_image == split.stored_bytes(ChannelMask.preset(m.channels)) / 18
        if m.order != "samples":  # whole row groups are read: of 18 samples, or of 16 and 2
            assert m.images in ({18} if kind == "native" else {16, 2, 18})
    assert report.memory_bandwidth > 0
    pillow = report.measurements[-1]
    sizes = [file.stat().st_size for file in (folder / "photos/train").rglob("*.*")]
    # The mean over whichever passes the seconds allowed.
    assert min(sizes) <= pillow.bytes_per_image <= max(sizes)
    document = report.to_dict()
    assert json.loads(json.dumps(document)) == document


def test_cold_is_measured_or_it_is_said_why_not(folder: Path) -> None:
    report = measure_reading(folder / "native.zarr", quick(states=["cold"], channels=["6"], repeats=1), quiet=True)
    assert all(m.state == "cold" and m.rate > 0 for m in report.measurements)
    assert len(report.measurements) == 3 or any("cold" in note for note in report.notes)


def test_what_stays_in_memory_is_not_called_cold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(files: object) -> None:
        msg = "5% stays in the page cache"
        raise NotDroppedError(msg)

    monkeypatch.setattr(page_cache, "can_drop", lambda: True)
    monkeypatch.setattr(page_cache, "drop", refuse)
    report = measure_reading(folder / "native.zarr", quick(states=["cold"], channels=["6"]), quiet=True)
    assert report.measurements == ()
    assert [note.partition(": ")[2] for note in report.notes] == ["5% stays in the page cache"] * 3


def test_only_the_files_that_are_read_are_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: set[Path] = set()
    monkeypatch.setattr(page_cache, "can_drop", lambda: True)
    monkeypatch.setattr(page_cache, "drop", dropped.update)
    options = quick(states=["cold"], channels=["6"], source=folder / "photos", repeats=1)
    measure_reading(folder / "native.zarr", options, quiet=True)
    shards = {path for path in (folder / "native.zarr/train").glob("*/c/0/*") if path.parts[-4] in {"y", "cb", "cr"}}
    assert dropped == shards | {path for path in (folder / "photos/train").rglob("*") if path.is_file()}


def test_a_hot_copy_is_measured_warm_only(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(folder / "fixed.zarr", path)
    freqcache.make_hot(path, "6", quiet=True)
    report = measure_reading(path, quick(orders=["groups"]), quiet=True)
    assert {m.channels: m.hot for m in report.measurements if m.state == "warm"} == {"6": True, "24": False}
    assert not any(m.hot for m in report.measurements if m.state == "cold")
    assert any("6, cold: not measured" in note and "mapped" in note for note in report.notes)
    (hot,) = (m for m in report.measurements if m.hot)
    assert hot.bytes_per_image == 6 * 4 * 4  # uncompressed: int8, 4 x 4 blocks


def test_a_zip_file_is_measured_warm_only(folder: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "a.zarr"), "zip", folder / "fixed.zarr")
    report = measure_reading(archive, quick(orders=["groups"], channels=["6"]), quiet=True)
    assert [m.state for m in report.measurements] == ["warm"]
    assert any("not a local folder" in note for note in report.notes)


def test_files_that_pillow_refuses_are_left_out_and_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "photos", tmp_path / "photos")
    (tmp_path / "photos/train/ant/1.jpg").write_bytes(b"no image")
    report = measure_reading(
        folder / "native.zarr",
        quick(source=tmp_path / "photos", states=["warm"], orders=["groups"], channels=["6"]),
        quiet=True,
    )
    assert report.measurements[-1].images == 17
    assert any("1 files left out, the first: train/ant/1.jpg" in note for note in report.notes)


def test_masks_are_presets_that_the_store_holds_or_what_is_asked(folder: Path, tmp_path: Path) -> None:
    ChannelMask.from_indices([0, 3], name="mine").write(tmp_path / "chosen.json")
    options = quick(channels=[], orders=["groups"], states=["warm"], repeats=1)
    report = measure_reading(folder / "fixed.zarr", options, quiet=True)
    assert [m.channels for m in report.measurements] == ["6", "24", "64", "192"]
    options = quick(channels=[tmp_path / "chosen.json", "all"], orders=["groups"], states=["warm"], repeats=1)
    report = measure_reading(folder / "fixed.zarr", options, quiet=True)
    assert [(m.channels, m.n_channels) for m in report.measurements] == [("chosen.json", 2), ("all", 192)]


def test_another_source_is_refused(folder: Path, tmp_path: Path) -> None:
    write_tree(tmp_path / "other", per_class=2)
    with pytest.raises(StoreError, match=r"has no train/.*expected the source that"):
        measure_reading(folder / "fixed.zarr", quick(source=tmp_path / "other"), quiet=True)


def test_units_are_row_groups() -> None:
    stored = units_of(GROUPS, "stored", 99, seed=0)
    assert np.concatenate(stored).tolist() == list(range(14))
    assert [len(unit) for unit in stored] == [5, 3, 4, 2]
    shuffled = units_of(GROUPS, "groups", 99, seed=1)
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, stored))
    assert [unit.tolist() for unit in shuffled] == [unit.tolist() for unit in units_of(GROUPS, "groups", 99, seed=1)]
    assert [len(unit) for unit in units_of(GROUPS, "stored", 8, seed=0)] == [5, 3]
    assert [len(unit) for unit in units_of(GROUPS, "stored", 1, seed=0)] == [5]


def test_single_samples_go_round_the_row_groups() -> None:
    samples = np.concatenate(units_of(GROUPS, "samples", 99, seed=3))
    assert sorted(samples.tolist()) == list(range(14))
    visited = GROUPS[samples]
    assert sorted(visited[:4].tolist()) == [0, 1, 3, 4]
    assert sorted(visited[4:8].tolist()) == [0, 1, 3, 4]
    assert sorted(visited[8:11].tolist()) == [0, 1, 3]
    once = np.concatenate(units_of(GROUPS, "samples", 99, seed=3, once=True))
    assert sorted(GROUPS[once].tolist()) == [0, 1, 3, 4]

"""Whole builds: what is in the store, the same bytes however it is built, and what bad input becomes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash
import zarr
from photographs import encoded

import freqcache
import freqcache.errors
from freqcache import BuildOptions
from freqcache.building import BuildReport
from freqcache.building import files as files_module
from freqcache.errors import BuildError
from freqcache.extraction import ExtractionOptions
from freqcache.jpeg import read_coefficients
from freqcache_formats.layout import NATIVE_FILL, Origin

FIXED = BuildOptions(size=48)


def digests(store: Path) -> dict[str, str]:
    """Digest of every file of a store."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def build(source: Path, out: Path, options: BuildOptions | None = None, **keywords: object) -> BuildReport:
    return freqcache.build(source, out, options, **{"workers": 1, "quiet": True, **keywords})


@pytest.fixture(scope="module")
def native(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("native") / "out.zarr"
    build(source, out)
    return out


@pytest.fixture(scope="module")
def fixed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fixed") / "out.zarr"
    build(source, out, FIXED)
    return out


@pytest.mark.parametrize("options", [BuildOptions(), FIXED], ids=["native", "fixed"])
def test_workers_do_not_change_a_byte(
    source: Path,
    native: Path,
    fixed: Path,
    tmp_path: Path,
    options: BuildOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "17")
    report = build(source, tmp_path / "two.zarr", options, workers=2)
    assert report.n_samples == 28
    assert digests(tmp_path / "two.zarr") == digests(native if options.size is None else fixed)


def test_report_counts_every_origin(source: Path, tmp_path: Path) -> None:
    report = build(source, tmp_path / "out.zarr", BuildOptions(extraction=ExtractionOptions(max_size=64)))
    assert report.splits == {"train": 14, "val": 14}
    assert report.n_classes == 2
    assert report.origins["computed"] == 8  # two in each of four class folders: the PNG and the CMYK file
    assert report.origins["reduced"] > 0
    assert sum(report.origins.values()) == 28
    assert report.failures == ()
    assert report.ledger is None
    assert report.bytes_out == sum(path.stat().st_size for path in (tmp_path / "out.zarr").rglob("*") if path.is_file())


def test_every_sample_array_describes_its_file(source: Path, native: Path) -> None:
    split = freqcache.open(native)["train"]
    assert len(split) == 14
    for slot in split.slots:
        path = split.source_path(slot)
        data = (source / path).read_bytes()
        assert split.values("source_bytes")[slot] == len(data)
        digest = xxhash.xxh3_128(data).digest()
        assert split.values("source_digest")[slot].tobytes() == digest
        assert split.classes[split.labels[slot]] == path.split("/")[1]
        computed = path.endswith("png") or "/5.jpg" in path
        assert split.values("origin")[slot] == (Origin.COMPUTED if computed else Origin.EXTRACTED)


def test_samples_are_shuffled_once_by_the_seed(source: Path, native: Path, tmp_path: Path) -> None:
    def order(store: Path) -> list[str]:
        split = freqcache.open(store)["train"]
        return [split.source_path(slot) for slot in split.slots]

    build(source, tmp_path / "other.zarr", BuildOptions(seed=1))
    build(source, tmp_path / "listed.zarr", BuildOptions(shuffle=False))
    listed = order(tmp_path / "listed.zarr")
    assert listed == sorted(listed)
    assert sorted(order(native)) == sorted(order(tmp_path / "other.zarr")) == listed
    assert len({tuple(order(native)), tuple(order(tmp_path / "other.zarr")), tuple(listed)}) == 3


def test_row_groups_and_shards_of_many_samples(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small groups and shards: several of each, and the same coefficients come back."""
    build(source, tmp_path / "one.zarr")
    for name, value in (("ROW_GROUP_BLOCKS", 100), ("SHARD_SAMPLES", 4)):
        monkeypatch.setattr(f"freqcache.building.plan.{name}", value)
    build(source, tmp_path / "many.zarr")
    one, many = (freqcache.open(tmp_path / name)["train"] for name in ("one.zarr", "many.zarr"))
    assert len(many.values("row_group_start")) > 4
    assert len(list((tmp_path / "many.zarr/train/y/c/0").iterdir())) > 2
    mask = freqcache.ChannelMask.load("all")
    for a, b in zip(one.read(one.slots, mask), many.read(many.slots, mask), strict=True):
        for left, right in zip(a.coefficients, b.coefficients, strict=True):
            np.testing.assert_array_equal(left, right)


def test_no_chunk_is_missing_and_padding_is_the_fill_value(native: Path) -> None:
    split = zarr.open_group(native / "train", mode="r")
    for name, component in (("y", 0), ("cb", 1), ("cr", 2)):
        array = split[name]
        assert array.fill_value == NATIVE_FILL
        covered = np.zeros(array.shape[1], dtype=bool)
        for offset, (rows, cols) in zip(split["offset"][:, component], split["blocks"][:, component], strict=True):
            assert not covered[offset : offset + rows * cols].any()
            covered[offset : offset + rows * cols] = True
        values = array[...]
        assert (values[:, ~covered] == NATIVE_FILL).all()
        assert (values[:, covered] != NATIVE_FILL).all()


def damaged(source: Path, root: Path) -> Path:
    """Copy a source and add a file of every kind that must not become a sample."""
    shutil.copytree(source, root)
    folder = root / "train" / "ant"
    good = (folder / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(good[: len(good) * 2 // 3])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no image at all")
    (folder / "header.jpg").write_bytes(good[:30])
    (folder / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (folder / "cut.png").write_bytes((folder / "4.png").read_bytes()[:500])
    return root


BAD = ["cut.jpg", "cut.png", "empty.jpg", "gone.jpg", "header.jpg", "text.jpg"]


@pytest.mark.parametrize("options", [BuildOptions(), FIXED], ids=["native", "fixed"])
def test_bad_files_are_in_the_ledger_and_in_no_sample(source: Path, tmp_path: Path, options: BuildOptions) -> None:
    root = damaged(source, tmp_path / "source")
    report = build(root, tmp_path / "out.zarr", options)
    assert report.ledger is not None
    entries = [json.loads(line) for line in report.ledger.read_text().splitlines()]
    assert [Path(entry["path"]).name for entry in entries] == BAD
    assert all(entry["reason"] and entry["split"] == "train" and not entry["kept"] for entry in entries)
    split = freqcache.open(tmp_path / "out.zarr")["train"]
    assert report.n_failed == len(BAD)
    assert len(split) == 14
    paths = [split.source_path(slot) for slot in split.slots]
    assert not any(Path(path).name in BAD for path in paths)
    absent = np.setdiff1d(np.arange(split.metadata.slots), split.slots)
    assert (split.labels[absent] == -1).all()
    with pytest.raises(freqcache.errors.StoreError, match="absent"):
        split.read(absent[:1], freqcache.ChannelMask.load("6"))


def test_damage_can_be_kept_or_end_the_build(source: Path, tmp_path: Path) -> None:
    root = damaged(source, tmp_path / "source")
    keep = BuildOptions(extraction=ExtractionOptions(on_corrupt="keep"))
    report = build(root, tmp_path / "keep.zarr", keep)
    kept = [entry for entry in report.failures if entry.kept]
    assert [Path(entry.path).name for entry in kept] == ["cut.jpg"]
    assert report.n_samples == 29
    ending = BuildOptions(extraction=ExtractionOptions(on_corrupt="fail"))
    with pytest.raises(BuildError, match=r"header\.jpg"):  # found when the headers are read
        build(root, tmp_path / "fail.zarr", ending)
    (root / "train" / "ant" / "header.jpg").unlink()
    with pytest.raises(BuildError, match=r"cut\.(jpg|png)"):  # found when the data are
        build(root, tmp_path / "fail.zarr", ending, overwrite=True)


def test_a_source_of_bad_files_only_leaves_no_store(tmp_path: Path) -> None:
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "1.jpg").write_text("text")
    with pytest.raises(BuildError, match=r"none of its 1 files.*a/1\.jpg"):
        build(tmp_path / "source", tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()
    assert "a/1.jpg" in (tmp_path / "out.zarr.ledger.jsonl").read_text()


def test_a_file_damaged_inside_only_leaves_no_store_either(source: Path, tmp_path: Path) -> None:
    """The header passes, so a slot is planned; nothing decodes, so nothing is built."""
    (tmp_path / "source" / "a").mkdir(parents=True)
    good = (source / "train" / "ant" / "0.jpg").read_bytes()
    (tmp_path / "source" / "a" / "1.jpg").write_bytes(good[: len(good) * 2 // 3])
    with pytest.raises(BuildError, match="none of its 1 files"):
        build(tmp_path / "source", tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_existing_things_are_left_alone(source: Path, native: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    shutil.copytree(native, out)
    before = digests(out)
    with pytest.raises(BuildError, match="exists and is complete"):
        build(source, out)
    assert digests(out) == before
    build(source, out, FIXED, overwrite=True)
    assert freqcache.open(out).kind == "fixed"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("precious")
    with pytest.raises(BuildError, match="not a freqcache store"):
        build(source, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "mine.txt").read_text() == "precious"
    with pytest.raises(BuildError, match="its own source"):
        build(source, source, overwrite=True)


class _Interrupted(BaseException):
    """Stands for whatever ends a process from outside."""


def test_an_interrupted_build_goes_on(
    source: Path, native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freqcache.building.plan.SHARD_SAMPLES", 4)
    monkeypatch.setattr("freqcache.building.plan.ROW_GROUP_BLOCKS", 100)
    build(source, tmp_path / "whole.zarr")
    real, calls = files_module.extract, []

    def failing(data: bytes, options: ExtractionOptions) -> object:
        calls.append(1)
        if len(calls) == 15:
            raise _Interrupted
        return real(data, options)

    out = tmp_path / "out.zarr"
    monkeypatch.setattr(files_module, "extract", failing)
    with pytest.raises(_Interrupted):
        build(source, out)
    monkeypatch.setattr(files_module, "extract", real)
    assert not (out / "zarr.json").exists()
    with pytest.raises(freqcache.errors.StoreError, match="did not finish"):
        freqcache.open(out)
    with pytest.raises(BuildError, match="other options"):
        build(source, out, BuildOptions(seed=3))
    report = build(source, out)
    assert report.n_resumed > 0
    assert report.n_read < 28
    assert digests(out) == digests(tmp_path / "whole.zarr")


def test_two_builds_into_one_store_are_refused(source: Path, tmp_path: Path) -> None:
    from freqcache.building.journal import Journal
    from freqcache.store.targets import LocalTarget

    with Journal(LocalTarget(tmp_path / "out.zarr"), "x", overwrite=False):
        script = (
            "import sys, freqcache\n"
            "from freqcache.errors import BuildError\n"
            "try: freqcache.build(sys.argv[1], sys.argv[2], workers=1, quiet=True)\n"
            "except BuildError as error: print(error)\n"
        )
        command = [sys.executable, "-c", script, str(source), str(tmp_path / "out.zarr")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another build is writing" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        {"size": 50},
        {"size": 0},
        {"exact": True},
        {"level": 0},
        {"extraction": ExtractionOptions(on_corrupt="x")},
    ],
)
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BuildError, match=next(iter(options)).replace("extraction", "on_corrupt")):
        BuildOptions(**options)


def test_absurd_tables_are_clipped_and_counted(tmp_path: Path) -> None:
    """A white block whose DC, by a table of large steps, is far beyond what pixels give."""
    data = bytearray(encoded(1, 64, 64, quality=50))
    table = data.index(b"\xff\xdb") + 5
    data[table : table + 64] = bytes([255]) * 64
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "1.jpg").write_bytes(bytes(data))
    for exact, limit in ((True, 32767), (False, 127)):
        out = tmp_path / f"{exact}.zarr"
        report = build(tmp_path / "source", out, BuildOptions(size=64, exact=exact))
        values = freqcache.open(out)["all"].read([0], freqcache.ChannelMask.load("all"))
        assert np.abs(values.astype(int)).max() <= limit
        dc = values[0, 0].astype(np.int64) * (1 if exact else 1024 / 127)
        assert np.sign(dc).ravel().tolist() == np.sign(dc_of(bytes(data))).ravel().tolist()
        assert (report.saturated > 0) == (np.abs(values.astype(int)).max() == limit)


def dc_of(data: bytes) -> np.ndarray:
    return read_coefficients(data).components[0].coefficients[0]

"""What is told of a store, against zarr-python, the files' sizes, and Pillow's view of the source files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from photographs import encoded, write_tree
from PIL import Image

import freqcache
from freqcache.errors import StoreError
from freqcache.extraction import ExtractionOptions
from freqcache.inspection import StorageReport, StoreReport, inspect_store
from freqcache_formats import ALL_CHANNELS, ChannelMask

KINDS = {"native": freqcache.BuildOptions(), "fixed": freqcache.BuildOptions(size=48)}
COLUMNS = {"native": ("y", "cb", "cr"), "fixed": ("coefficients",)}
LAYERS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, and caches of it; one of its files does not decode, and leaves an absent slot."""
    folder = tmp_path_factory.mktemp("inspected")
    write_tree(folder / "photos")
    (folder / "photos/train/bee/broken.jpg").write_bytes(encoded(99, 64, 64)[:-40])
    for kind, options in KINDS.items():
        freqcache.build(folder / "photos", folder / f"{kind}.zarr", options, workers=1, quiet=True)
    return folder


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def inspected(folder: Path, kind: str) -> tuple[Path, StoreReport]:
    return folder / f"{kind}.zarr", inspect_store(folder / f"{kind}.zarr")


def sources(folder: Path) -> list[Path]:
    """Return the files that became samples."""
    return [path for path in sorted((folder / "photos").rglob("*.*")) if path.stem != "broken"]


def test_what_the_store_says_of_itself(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]["freqcache"]
    assert report.id == attributes["id"]
    assert report.kind == kind
    assert report.format_version == attributes["version"]
    assert report.creator == attributes["creator"]
    assert report.options == attributes["options"]
    assert report.channels == ALL_CHANNELS
    assert report.classes == ("ant", "bee")
    assert [split.name for split in report.splits] == ["train", "val"]


def test_slots_samples_and_row_groups(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    assert report.absent == 1
    assert report.samples.samples == 28
    assert report.samples.classes == (14, 14)
    for split in report.splits:
        group = zarr.open_group(path / split.name, mode="r")
        labels = np.asarray(group["label"])
        assert (split.slots, split.absent) == (len(labels), int((labels < 0).sum()))
        assert split.samples.classes == tuple(np.bincount(labels[labels >= 0], minlength=2).tolist())
        lengths = np.diff(np.asarray(group["row_group_start"]))
        assert split.row_groups == len(lengths)
        assert split.row_group_slots == (lengths.min(), int(np.median(lengths)), lengths.max())
        assert split.grid == (None if kind == "native" else (6, 6))


def test_arrays_are_as_zarr_has_them(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    for split in report.splits:
        assert tuple(split.arrays) == COLUMNS[kind]
        for name, array in split.arrays.items():
            theirs: Any = zarr.open_array(path / split.name / name, mode="r")
            assert array.shape == theirs.shape
            assert array.chunk == theirs.chunks
            assert array.shard == theirs.shards
            assert array.dtype == str(theirs.dtype)
            shards = [file for file in (path / split.name / name / "c").rglob("*") if file.is_file()]
            assert array.shards == len(shards)
            assert array.bytes == sum(file.stat().st_size for file in shards)
            assert (array.codec, array.level) == ("blosc" if kind == "native" else "zstd", 1)


def test_bytes_are_those_of_the_files(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    sizes = {file: file.stat().st_size for file in path.rglob("*") if file.is_file()}
    assert report.bytes == sum(sizes.values())
    for split in report.splits:
        assert split.bytes == sum(size for file, size in sizes.items() if file.is_relative_to(path / split.name))
    assert report.samples.source_bytes == sum(file.stat().st_size for file in sources(folder))


def channel_bytes(array: Path) -> np.ndarray:
    """Return the stored bytes of each channel of an array, from the indexes at the ends of its shard files."""
    document = json.loads((array / "zarr.json").read_text())
    chunk = document["codecs"][0]["configuration"]["chunk_shape"]
    shard = document["chunk_grid"]["configuration"]["chunk_shape"]
    shape = [n // m for n, m in zip(shard, chunk, strict=True)]
    total = np.zeros(max(shape[:2]) if len(shape) == 4 else shape[0], dtype=np.int64)
    for file in sorted((array / "c").rglob("*")):
        if file.is_file():
            index = np.frombuffer(file.read_bytes()[-4 - 16 * int(np.prod(shape)) : -4], dtype="<u8")
            lengths = index.reshape(*shape, 2)[..., 1]
            lengths = np.where(lengths == 2**64 - 1, 0, lengths).astype(np.int64)
            total += lengths.sum(axis=1) if len(shape) == 2 else lengths.sum(axis=(0, 2, 3))
    return total


def test_bytes_of_channels_groups_and_presets(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    total = np.zeros(192, dtype=np.int64)
    for split in report.splits:
        mine = np.concatenate([channel_bytes(path / split.name / name) for name in COLUMNS[kind]])
        assert list(split.storage.channels.values()) == mine.tolist()
        total += mine
    storage = report.storage
    assert list(storage.channels.values()) == total.tolist()
    assert list(storage.channels) == [str(channel) for channel in ALL_CHANNELS]
    for name in ("6", "24", "32", "48", "64", "192"):
        assert storage.presets[name] == total[ChannelMask.preset(name).indices].sum()
    sums = np.array([channel.v + channel.u for channel in ALL_CHANNELS])
    for i, component in enumerate(("Y", "Cb", "Cr")):
        here = np.arange(192) // 64 == i
        assert storage.band(component, "low") == total[here & (sums < 4)].sum()
        assert storage.band(component, "mid") == total[here & (sums >= 4) & (sums < 8)].sum()
        assert storage.band(component, "high") == total[here & (sums >= 8)].sum()
    assert storage.band(None, None) == total.sum()
    assert 0 < storage.coefficients - total.sum() < 0.9 * storage.coefficients  # digests and indexes are no channel's


def test_a_store_of_some_channels_has_the_presets_it_holds() -> None:
    held = ChannelMask.preset("24")
    storage = StorageReport(samples=2, coefficients=9999, channels={str(channel): 10 for channel in held.channels})
    assert storage.presets == {"6": 60, "24": 240, "32": None, "48": None, "64": None, "192": None}
    assert (storage.band("Y", None), storage.band("Cb", None), storage.band(None, "low")) == (160, 40, 180)


def test_samples_are_what_pillow_sees_in_the_files(folder: Path, kind: str) -> None:
    _, report = inspected(folder, kind)
    chroma: Counter[str] = Counter()
    quality: Counter[int] = Counter()
    widths, heights = [], []
    for path in sources(folder):
        with Image.open(path) as image:
            widths.append(image.width)
            heights.append(image.height)
            if image.format != "JPEG" or image.mode == "CMYK":
                chroma["4:4:4"] += 1  # computed
                continue
            (_, h, v, _), *others = image.layer
            assert all((layer[1], layer[2]) == (1, 1) for layer in others)
            chroma[LAYERS[h, v] if others else "gray"] += 1
            quality[80 if image.mode == "L" else 70 + 5 * int(path.stem)] += 1
    assert {name: n for name, n in report.samples.chroma.items() if n} == chroma
    assert report.samples.width is not None
    assert report.samples.height is not None
    for found, lengths in ((report.samples.width, widths), (report.samples.height, heights)):
        ordered = sorted(lengths)
        assert found.quantiles[0] == ordered[0]
        assert found.quantiles[3] == ordered[(len(ordered) - 1) // 2]
        assert found.quantiles[-1] == ordered[-1]
    if kind == "native":
        assert report.samples.origins == {"extracted": 20, "reduced": 0, "computed": 8}
        assert report.samples.quality is not None
        assert report.samples.quality.exact == quality
        assert report.samples.quality.nearest == {}
    else:
        assert report.samples.quality is None
    assert report.samples.orientations == {1: 28}


def test_turned_files_are_judged_by_their_own_tables(tmp_path: Path) -> None:
    """A quarter turn transposes tables and sampling; the quality is still the file's."""
    classes = tmp_path / "photos" / "one"
    classes.mkdir(parents=True)
    exif = Image.Exif()
    for turn in (1, 3, 6):
        exif[274] = turn
        data = encoded(turn, 64, 48, quality=30, subsampling=1, exif=exif.tobytes())
        (classes / f"{turn}.jpg").write_bytes(data)
    for keep in (False, True):
        options = freqcache.BuildOptions(extraction=ExtractionOptions(keep_orientation=keep))
        out = tmp_path / f"{keep}.zarr"
        freqcache.build(tmp_path / "photos", out, options, workers=1, quiet=True)
        samples = inspect_store(out).samples
        assert samples.quality is not None
        assert samples.quality.exact == {30: 3}
        assert samples.orientations == {1: 1, 3: 1, 6: 1}
        assert samples.chroma["4:2:2"] == (3 if keep else 2)
        assert samples.chroma["4:4:0"] == (0 if keep else 1)


def test_the_ledger_beside_it(folder: Path, kind: str) -> None:
    path, report = inspected(folder, kind)
    ledger = report.ledger
    assert ledger is not None
    assert ledger.path == f"{path}.ledger.jsonl"
    assert (ledger.entries, ledger.kept) == (1, 0)
    ((reason, count),) = ledger.reasons
    assert count == 1
    assert "ends" in reason


def test_reasons_are_counted_the_most_frequent_first(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "fixed.zarr", tmp_path / "a.zarr")
    entries = [("x", True), ("b", False), ("a", False), ("x", False)]
    lines = [json.dumps({"path": "p", "split": "s", "reason": reason, "kept": kept}) for reason, kept in entries]
    (tmp_path / "a.zarr.ledger.jsonl").write_text("\n".join(lines) + "\n")
    ledger = inspect_store(tmp_path / "a.zarr").ledger
    assert ledger is not None
    assert ledger.reasons == (("x", 2), ("a", 1), ("b", 1))
    assert (ledger.entries, ledger.kept) == (4, 1)
    (tmp_path / "a.zarr.ledger.jsonl").write_text(lines[0] + "\n{}\n")
    with pytest.raises(StoreError, match=r"ledger\.jsonl: line 2 is no entry"):
        inspect_store(tmp_path / "a.zarr")


def test_a_hot_copy_is_counted_apart(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(folder / "fixed.zarr", path)
    before = inspect_store(path)
    assert before.hot is None
    freqcache.make_hot(path, "6", quiet=True)
    report = inspect_store(path)
    assert report.hot is not None
    assert report.hot.channels == ChannelMask.preset("6").channels
    assert report.hot.problem is None
    assert report.hot.bytes == sum(file.stat().st_size for file in (path / "hot").rglob("*") if file.is_file())
    assert report.bytes == before.bytes
    document = json.loads((path / "hot/zarr.json").read_text())
    document["attributes"]["freqcache"]["of"] = "0" * 32
    (path / "hot/zarr.json").write_text(json.dumps(document))
    stale = inspect_store(path).hot
    assert stale is not None
    assert stale.channels == ()
    assert "a hot copy of the store 0000" in str(stale.problem)


def test_a_zip_file_and_a_url_tell_the_same(folder: Path, kind: str, tmp_path: Path) -> None:
    path, report = inspected(folder, kind)
    archive = Path(shutil.make_archive(str(tmp_path / "a.zarr"), "zip", path))
    zipped = inspect_store(archive).to_dict()
    url = inspect_store(f"file://{path}").to_dict()
    expected = report.to_dict()
    assert zipped["bytes"] == archive.stat().st_size
    assert url["bytes"] is None
    for document in (zipped, url, expected):
        for key in ("path", "bytes", "ledger"):
            document.pop(key)
        for split in document["splits"]:
            split.pop("bytes")
    assert zipped == expected
    assert url == expected


def test_the_report_is_json(folder: Path, kind: str) -> None:
    _, report = inspected(folder, kind)
    document = report.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["report_version"] == 1
    assert document["channels"][1] == ["Y", 0, 1]
    assert set(document["storage"]["bands"]["Cb"]) == {"low", "mid", "high"}


def test_no_coefficient_is_read(folder: Path, tmp_path: Path) -> None:
    """Every byte of every chunk may be wrong: they are not looked at."""
    path = tmp_path / "a.zarr"
    shutil.copytree(folder / "native.zarr", path)
    expected = inspect_store(folder / "native.zarr")
    for file in path.glob("*/*/c/0/*"):
        if file.parts[-4] in COLUMNS["native"]:
            data = bytearray(file.read_bytes())
            data[:64] = bytes(64)
            file.write_bytes(data)
    assert inspect_store(path).storage == expected.storage


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: flip(path / "train/y/c/0/0", -10), "train/y/c/0/0: the shard's index fails its checksum"),
        (lambda path: shutil.rmtree(path / "val/origin"), "val/origin"),
        (lambda path: shutil.rmtree(path / "val/cb"), "val/cb"),
        (lambda path: (path / "val/y/c/0/0").unlink(), "val/y/c/0/0: cannot be opened"),
        (lambda path: (path / "zarr.json").unlink(), "not a freqcache store"),
        (lambda path: flip(path / "train/width/c/0", 3), "train/width/c/0: CRC-32C does not match"),
    ],
)
def test_damage_of_what_is_read_is_named(folder: Path, tmp_path: Path, break_it: Any, message: str) -> None:
    path = tmp_path / "a.zarr"
    shutil.copytree(folder / "native.zarr", path)
    break_it(path)
    with pytest.raises(StoreError, match=message):
        inspect_store(path)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)

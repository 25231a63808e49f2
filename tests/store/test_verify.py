"""Verifications of sound and of damaged stores: what is found, in which file, and which samples are named for it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image

import freqcache
from freqcache.errors import FreqcacheError, StoreError
from freqcache.verification import VerifyReport, pixels
from freqcache.verification import verify as verify_store
from freqcache_formats.canonical import canonical_json, metadata_digest
from freqcache_formats.layout import Origin

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "formats" / "v1" / "conformance")]

from check import check_store  # noqa: E402
from examples import assemble, manifest, valid_store  # noqa: E402
from flips import Harness, build_stores, kind_of, run  # noqa: E402
from metadata import canonical, digest_of  # noqa: E402

Tree = dict[str, Path]


def verify(store: Path, **options: Any) -> VerifyReport:
    return verify_store(store, quiet=True, **{"workers": 1, **options})


def kinds(report: VerifyReport) -> set[str]:
    return {finding.kind for finding in report.findings}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A native, an int8 and an int16 store, and both kinds with a hot copy; some slots are absent."""
    return build_stores(tmp_path_factory.mktemp("verify"))


@pytest.fixture
def copy(stores: Tree, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a store, with the ledger beside it, to be spoilt."""

    def copied(name: str) -> Path:
        out = Path(shutil.copytree(stores[name], tmp_path / f"{name}.zarr"))
        shutil.copy(f"{stores[name]}.ledger.jsonl", f"{out}.ledger.jsonl")
        return out

    return copied


def source_of(stores: Tree) -> Path:
    return stores["native"].parent / "source"


@pytest.mark.parametrize("name", ["native", "int8", "int16", "native-hot", "int8-hot"])
def test_a_sound_store_is_sound_byte_for_byte(stores: Tree, name: str) -> None:
    report = verify(stores[name])
    assert report.is_sound, report.findings
    assert report.notes == ()
    files = [path for path in stores[name].rglob("*") if path.is_file()]
    assert report.counts.files == len(files)
    opened = freqcache.open(stores[name])
    samples = sum(len(opened[split]) for split in opened.splits)
    assert report.counts.samples == samples > 30
    assert report.counts.hot_samples == (samples if "hot" in name else 0)
    assert any((opened[split].values("origin") == Origin.ABSENT).any() for split in opened.splits)


@pytest.mark.parametrize("name", ["native-hot", "int8"])
def test_workers_make_no_difference(stores: Tree, name: str, copy: Callable[[str], Path]) -> None:
    store = copy(name)
    flip(sorted((store / "train").glob("[yc]*/c/**/*"))[-1])
    one, two = (verify(store, workers=n, source=source_of(stores)) for n in (1, 2))
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)
    assert not one.is_sound


@pytest.mark.parametrize("name", ["native", "int16"])
def test_a_zip_file_is_verified_too(stores: Tree, name: str, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / name), "zip", stores[name])
    report = verify(Path(archive))
    assert report.is_sound
    assert report.counts.samples == verify(stores[name]).counts.samples


@pytest.mark.parametrize("name", manifest()["valid"])
def test_it_agrees_with_the_checker_on_valid_examples(name: str) -> None:
    assert verify(valid_store(name)).findings == ()


@pytest.mark.parametrize("name", manifest()["invalid"])
def test_it_agrees_with_the_checker_on_invalid_examples(name: str, tmp_path: Path) -> None:
    store = assemble(name, tmp_path / "store")
    assert check_store(store)
    try:
        found = kinds(verify(store))
    except FreqcacheError:  # what cannot be opened
        assert manifest()["invalid"][name]["reader"] == "must"
        return
    assert found


@pytest.mark.parametrize("name", ["native", "int8", "int16", "native-hot", "int8-hot"])
def test_single_bytes_are_found_or_mean_nothing(stores: Tree, name: str) -> None:
    """A short run of flips.py, each kind of file in turn."""
    table, missed = run(stores[name], 16, seed=1)
    assert missed == []
    assert sum(counts["found"] for counts in table.values()) >= 12


def flip(path: Path, position: int = 10) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["native-hot", "int8-hot"])
def test_files_that_are_gone_cut_or_zeroed(stores: Tree, name: str, copy: Callable[[str], Path]) -> None:
    harness = Harness(copy(name))
    first: dict[str, str] = {}
    for path in harness.files():
        first.setdefault(kind_of(path), path)
    assert len(first) >= 10
    for path in first.values():
        file = harness.store / path
        content = file.read_bytes()
        start = len(content) // 3
        zeroed = content[:start] + bytes(len(content) - start)
        for spoilt in (None, content[:-1], b"", content + b"x", zeroed):
            if spoilt is None:
                file.unlink()
            else:
                file.write_bytes(spoilt)
            assert harness.is_refused() or spoilt == content, (path, spoilt is None or len(spoilt), len(content))
            file.write_bytes(content)
    assert not harness.is_refused()


def test_shards_in_each_others_place_and_of_another_build(stores: Tree, copy: Callable[[str], Path]) -> None:
    store = copy("native")
    one, two = (store / "train/y/c/0" / n for n in "01")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    found = {finding.file for finding in verify(store).findings}
    assert {"train/y/c/0/0", "train/y/c/0/1"} <= found
    one.write_bytes(first)
    two.write_bytes(second)
    other = (stores["int16"] / "val/coefficients/c/0/0/0/0").read_bytes()
    victim = copy("int8") / "val/coefficients/c/0/0/0/0"
    victim.write_bytes(other)
    assert not verify(victim.parents[6]).is_sound


def test_a_damaged_chunk_names_its_samples_and_no_others(stores: Tree, copy: Callable[[str], Path]) -> None:
    store = copy("int8")
    split = freqcache.open(store)["train"]
    shard = store / "train/coefficients/c/0/0/0/0"
    flip(shard, 0)  # the first chunk: channel 0 of the first sixteen slots
    report = verify(store)
    (finding,) = [finding for finding in report.findings if finding.kind == "chunk-checksum"]
    assert (finding.file, finding.split, finding.array) == ("train/coefficients/c/0/0/0/0", "train", "coefficients")
    assert "chunk of channel 0, row group 0: CRC-32C does not match" in finding.reason
    slots = [slot for slot in split.slots.tolist() if slot < 16]
    assert [sample.slot for sample in report.bad_samples] == slots
    for sample in report.bad_samples:
        assert sample.path == split.source_path(sample.slot)
        assert sample.class_name == sample.path.split("/")[1]


def test_changed_values_with_all_their_checksums(stores: Tree, copy: Callable[[str], Path]) -> None:
    """What zarr-python writes is sound as bytes: only what the values say gives it away."""
    store = copy("native")
    slot = int(freqcache.open(store)["train"].slots[0])
    for name, index, value, kind in [
        ("label", (slot,), 5, "label"),
        ("orientation", (slot,), 9, "orientation"),
        ("width", (slot,), 400, "blocks"),
        ("sampling", (slot, 0, 0), 7, "sampling"),
        ("quantization", (slot, 0, 3), 0, "quantization"),
        ("quantization", (slot, 0, 3), 200, "statistics"),
        ("offset", (slot, 0), 100_000, "place"),
        ("origin", (slot,), 255, "samples"),
        ("source_bytes", (slot,), 0, "source_bytes"),
        ("source_digest", (slot, 3), 77, "id"),
        ("source_path_offset", (1,), 10_000, "source-path"),
    ]:
        array: Any = zarr.open_array(store / "train" / name, mode="r+")
        before = array[index]
        array[index] = value
        assert kind in kinds(verify(store)), name
        array[index] = before
    assert verify(store).findings == ()


def test_the_steps_of_a_fixed_store_are_vouched_for_by_its_statistics(copy: Callable[[str], Path]) -> None:
    store = copy("int8")
    for split in ("train", "val"):
        array: Any = zarr.open_array(store / split / "quantization", mode="r+")
        array[5] *= 1.01
    assert kinds(verify(store)) == {"statistics"}


def test_texts_may_be_spelt_otherwise_and_no_more(copy: Callable[[str], Path]) -> None:
    store = copy("native-hot")
    for path in store.rglob("zarr.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps(dict(reversed(document.items())), indent=7, ensure_ascii=True) + "\n\n")
    assert verify(store).findings == ()
    for path in sorted(store.rglob("zarr.json")):
        before = path.read_text()
        document = json.loads(before)
        if "label" in path.parts or path.parent == store:
            document["attributes"]["somebody"] = "else"
            path.write_text(json.dumps(document))
            assert kinds(verify(store)) == {"metadata"}
            path.write_text(before)


@pytest.mark.parametrize("name", ["native", "int8", "native-hot"])
def test_the_digest_is_the_one_that_the_specification_says(stores: Tree, name: str) -> None:
    attributes = json.loads((stores[name] / "zarr.json").read_text())["attributes"]["freqcache"]
    assert attributes["metadata_digest"] == digest_of(stores[name], attributes["kind"], attributes["splits"])


def test_canonical_json() -> None:
    value = {"é": [1, 1.0, -0.0, 1e16, 1.5e-5, 100.0, True, None, 2**64 - 1], "B": '\x7f"\\/\n😀', "a": {}}
    text = (
        r'{"B":"\u007f\"\\/\n\ud83d\ude00","a":{},'
        r'"\u00e9":[1,1.0,-0.0,1e+16,1.5e-05,100.0,true,null,18446744073709551615]}'
    )
    assert canonical_json(value) == text.encode()
    assert canonical(value) == text
    with pytest.raises(ValueError, match="Out of range"):
        metadata_digest({"zarr.json": {"attributes": {"freqcache": {}}, "x": float("nan")}})


def test_an_older_store_is_sound_with_a_note(copy: Callable[[str], Path]) -> None:
    store = copy("int8")
    document = json.loads((store / "zarr.json").read_text())
    del document["attributes"]["freqcache"]["metadata_digest"]
    document["attributes"]["freqcache"]["version"] = "1.0"
    (store / "zarr.json").write_text(json.dumps(document))
    report = verify(store)
    assert report.is_sound
    assert "could not be checked" in report.notes[0]
    document["attributes"]["freqcache"]["version"] = "1.1"
    (store / "zarr.json").write_text(json.dumps(document))
    assert "metadata" in kinds(verify(store))
    document["attributes"]["freqcache"]["version"] = "1.999"
    (store / "zarr.json").write_text(json.dumps(document))
    assert "version" in kinds(verify(store))


def test_other_files_are_notes(copy: Callable[[str], Path]) -> None:
    store = copy("int8-hot")
    (store / "train/y.123.partial").write_bytes(b"")
    (store / ".build").mkdir()
    (store / ".build/lock").write_bytes(b"")
    (store / "README.txt").write_text("mine")
    report = verify(store)
    assert report.is_sound
    assert report.notes == (
        "README.txt: belongs to nothing",
        ".build/lock: of a build that has not finished, or was killed at its end",
        "train/y.123.partial: left by a run that was killed",
    )


def test_a_hot_copy_of_something_else(stores: Tree, copy: Callable[[str], Path]) -> None:
    store = copy("int8-hot")
    document = json.loads((store / "hot/zarr.json").read_text())
    document["attributes"]["freqcache"]["of"] = "0" * 32
    (store / "hot/zarr.json").write_text(json.dumps(document))
    assert {"hot", "metadata"} <= kinds(verify(store))
    # checksums that fit, of other coefficients
    store = copy("native-hot")
    slot = int(freqcache.open(store)["train"].slots[0])
    copied: Any = zarr.open_group(store / "hot/train", mode="r+")
    start = int(copied["start"][slot, 0])
    copied["y"][start] = copied["y"][start] + 1
    held = int(np.prod(freqcache.open(store)["train"].values("blocks")[slot, 0]))
    import google_crc32c

    plane = np.asarray(copied["y"][start : start + held]).astype("<i2").tobytes()
    copied["checksum"][slot, 0] = google_crc32c.value(plane)
    report = verify(store)
    assert kinds(report) == {"hot-differs"}
    assert [(sample.split, sample.slot) for sample in report.bad_samples] == [("train", slot)]


@pytest.mark.parametrize("name", ["native-hot", "int8", "int16"])
def test_a_store_is_what_its_source_gives(stores: Tree, name: str) -> None:
    report = verify(stores[name], source=source_of(stores))
    assert report.findings == ()
    assert report.counts.source_files == report.counts.samples == report.counts.pixels
    few = verify(stores[name], source=source_of(stores), sample=3, seed=4)
    assert few.counts.source_files == 6
    assert few.counts.samples == report.counts.samples


def test_a_source_that_has_changed(stores: Tree, tmp_path: Path) -> None:
    source = Path(shutil.copytree(source_of(stores), tmp_path / "source"))
    (source / "train/bee/2.jpg").write_bytes((source / "train/bee/0.jpg").read_bytes())
    (source / "train/bee/3.jpg").unlink()
    (source / "train/ant/new.jpg").write_bytes((source / "train/bee/0.jpg").read_bytes())
    (source / "val/ant/1.jpg").rename(source / "val/bee/moved.jpg")
    report = verify(stores["native"], source=source)
    assert {(finding.kind, finding.file) for finding in report.findings} == {
        ("source-changed", "train/bee/2.jpg"),
        ("source-vanished", "train/bee/3.jpg"),
        ("source-vanished", "val/ant/1.jpg"),
        ("source-new", "train/ant/new.jpg"),
        ("source-new", "val/bee/moved.jpg"),
    }
    assert {sample.path for sample in report.bad_samples} == {"train/bee/2.jpg", "train/bee/3.jpg", "val/ant/1.jpg"}


def test_without_its_ledger_only_files_that_a_build_would_take_are_new(stores: Tree, tmp_path: Path) -> None:
    source = Path(shutil.copytree(source_of(stores), tmp_path / "source"))
    alone = Path(shutil.copytree(stores["native"], tmp_path / "alone.zarr"))
    (source / "train/ant/broken.jpg").write_bytes((source / "train/bee/0.jpg").read_bytes()[:400])
    assert not verify(alone, source=source).findings
    (source / "train/ant/new.jpg").write_bytes((source / "train/bee/0.jpg").read_bytes())
    found = [(finding.kind, finding.file) for finding in verify(alone, source=source).findings]
    assert found == [("source-new", "train/ant/new.jpg")]


def test_a_store_whose_source_never_gave_it(stores: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another extraction than the one that built the store: here, of files that are mirrored."""
    import freqcache.verification.source as source_module

    real = source_module.extract

    def other(data: bytes, options: Any) -> Any:
        sample = real(data, options)
        luma = replace(sample.components[0], coefficients=sample.components[0].coefficients[:, ::-1].copy())
        return replace(sample, components=(luma, *sample.components[1:]))

    monkeypatch.setattr(source_module, "extract", other)
    report = verify(stores["native"], source=source_of(stores), sample=2)
    assert kinds(report) == {"source-differs"}
    assert len(report.findings) == 4


def test_a_store_that_no_images_gave(stores: Tree, copy: Callable[[str], Path]) -> None:
    store = copy("int8")
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["freqcache"]["options"] = {"merged": True}
    (store / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match="cannot be compared with a source"):
        verify(store, source=source_of(stores))


def test_pixels_tell_a_wrong_table_and_exchanged_components(stores: Tree) -> None:
    split = freqcache.open(stores["native"])["train"]
    compared = 0
    for slot, sample in zip(split.slots, split.read(split.slots, freqcache.ChannelMask.load("all")), strict=True):
        if split.values("origin")[slot] != Origin.EXTRACTED or not sample.sampling[1].any():
            continue
        with Image.open(source_of(stores) / split.source_path(int(slot))) as image:
            image.draft("YCbCr", None)
            theirs = list(np.asarray(image).transpose(2, 0, 1))
        size, sampling = (sample.width, sample.height), [tuple(map(int, pair)) for pair in sample.sampling]
        planes, steps = list(sample.coefficients), list(sample.quantization)

        def problem(planes: Any, steps: Any, size: Any = size, sampling: Any = sampling, theirs: Any = theirs) -> Any:
            found = pixels.differences(planes, steps, sampling, size, theirs, None)
            return pixels.problem(found, resized=False, computed=False)

        assert problem(planes, steps) is None
        assert problem(planes, [2 * steps[0], *steps[1:]]) is not None
        assert problem([planes[0], planes[2], planes[1]], steps) is not None
        assert problem([planes[0][..., ::-1, :], *planes[1:]], steps) is not None
        compared += 1
    assert compared >= 8

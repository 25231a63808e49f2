"""Stores of stores: what zarr-python reads of them is what it reads of their sources, and the checker passes them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import freqcache
from freqcache.errors import BuildError, MaskError, StoreError
from freqcache.extraction import ExtractionOptions
from freqcache.rewriting import RewriteReport, Selection, merge, repack, subset
from freqcache.rewriting import source as rewriting_source
from freqcache_cli.main import main
from freqcache_formats import ChannelMask

from .oracle import assert_equal, attributes, read

LUMA_AND_CB = ChannelMask.from_indices([*range(10), 64, 65, 70])
QUIET: dict[str, Any] = {"workers": 1, "quiet": True}


def files_of(store: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file() and str(path.relative_to(store)) not in without
    }


def test_an_identity_repack_gives_the_same_bytes_and_the_same_id(store: Path, tmp_path: Path) -> None:
    report = repack(store, tmp_path / "out", **QUIET)
    assert files_of(tmp_path / "out", without=("zarr.json",)) == files_of(store, without=("zarr.json",))
    assert report.id == freqcache.open(store).id == freqcache.open(tmp_path / "out").id
    assert report.n_compared == report.n_samples == 36
    assert len(list((tmp_path / "out" / "train").rglob("c/*/0/0/0"))) == 2 or store.name == "native.zarr"
    found, expected = attributes(tmp_path / "out"), attributes(store)
    assert found["options"].pop("made_from") == {"operation": "repack", "stores": [{"id": expected["id"]}]}
    assert found.pop("metadata_digest") != expected.pop("metadata_digest")  # the options are metadata
    assert found == expected
    assert str(tmp_path) not in (tmp_path / "out" / "zarr.json").read_text()


@pytest.mark.parametrize("mask", ["24", "luma and cb"])
def test_fewer_channels(store: Path, tmp_path: Path, mask: str) -> None:
    channels = LUMA_AND_CB if mask == "luma and cb" else ChannelMask.preset(mask)
    repack(store, tmp_path / "out", channels=channels, **QUIET)
    found, expected = read(tmp_path / "out"), read(store)
    assert list(found) == list(expected) == ["train", "val"]
    for split in expected:
        assert_equal(found[split], expected[split], set(channels.indices.tolist()))
    # Statistics are those of the source's channels, to the last bit: the same sums in the same order.
    whole, part = freqcache.open(store)["train"].statistics, freqcache.open(tmp_path / "out")["train"].statistics
    np.testing.assert_array_equal(part.std[channels.indices], whole.std[channels.indices])
    assert freqcache.open(tmp_path / "out").id != freqcache.open(store).id


def test_channels_of_channels(store: Path, tmp_path: Path) -> None:
    """A store with some channels can be repacked too; with the same ones it is the same store."""
    repack(store, tmp_path / "a", channels="24", **QUIET)
    assert repack(tmp_path / "a", tmp_path / "b", **QUIET).id == freqcache.open(tmp_path / "a").id
    assert files_of(tmp_path / "a", without=("zarr.json",)) == files_of(tmp_path / "b", without=("zarr.json",))
    direct = repack(store, tmp_path / "direct", channels="6", **QUIET)
    assert repack(tmp_path / "b", tmp_path / "c", channels="6", **QUIET).id == direct.id
    with pytest.raises(
        MaskError, match=r"holds 24 of the 192 channels, and not 8 of the 32 wanted: Y\(4,0\), Y\(0,4\), "
    ):
        repack(tmp_path / "a", tmp_path / "d", channels="32", **QUIET)


def test_another_level_and_order(store: Path, tmp_path: Path) -> None:
    report = repack(store, tmp_path / "out", level=9, shuffle=True, seed=3, **QUIET)
    found, expected = read(tmp_path / "out"), read(store)
    for split, samples in expected.items():
        assert [s.path for s in found[split]] != [s.path for s in samples]
        by_path = {sample.path: sample for sample in samples}
        assert_equal(found[split], [by_path[sample.path] for sample in found[split]])
    assert report.bytes_out < report.bytes_in
    assert attributes(tmp_path / "out")["options"]["level"] == 9
    again = repack(
        tmp_path / "out", tmp_path / "again", level=1 if store.name != "int16.zarr" else 3, shuffle=True, **QUIET
    )
    assert again.id == freqcache.open(store).id  # a build shuffles by the same keyed hash of the path


def test_absent_slots_are_dropped(stores: Path, tmp_path: Path) -> None:
    report = repack(stores / "absent.zarr", tmp_path / "out", **QUIET)
    assert report.n_absent == 2
    assert (
        (attributes(tmp_path / "out")["options"]["made_from"]["stores"][0]["id"])
        == freqcache.open(stores / "absent.zarr").id
    )
    split = freqcache.open(tmp_path / "out")["train"]
    assert len(split) == split.metadata.slots == 18
    assert report.id == freqcache.open(stores / "native.zarr").id  # as if the damaged files had not been there


def test_the_bytes_do_not_depend_on_the_workers(stores: Path, tmp_path: Path) -> None:
    one = repack(stores / "native.zarr", tmp_path / "one", channels="24", **QUIET)
    two = repack(stores / "native.zarr", tmp_path / "two", channels="24", workers=2, quiet=True)
    assert one.id == two.id
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_subset_of_classes_counts_labels_anew(store: Path, tmp_path: Path) -> None:
    report = subset(store, tmp_path / "bees", Selection(classes=("bee",)), **QUIET)
    assert report.classes == freqcache.open(tmp_path / "bees").classes == ("bee",)
    expected = {split: [s for s in samples if s.class_name == "bee"] for split, samples in read(store).items()}
    found = read(tmp_path / "bees")
    for split, samples in expected.items():
        assert_equal(found[split], samples)
    assert set(freqcache.open(tmp_path / "bees")["train"].labels.tolist()) == {0}
    kept = subset(store, tmp_path / "kept", Selection(classes=("bee",), keep_labels=True), **QUIET)
    assert kept.classes == ("ant", "bee")
    assert set(freqcache.open(tmp_path / "kept")["train"].labels.tolist()) == {1}


def test_samples_by_path_and_by_slot(store: Path, tmp_path: Path) -> None:
    everything = read(store)
    some = [sample.path for sample in everything["train"]][3:9]
    subset(store, tmp_path / "paths", Selection(samples=(*some[::-1], everything["val"][0].path)), **QUIET)
    found = read(tmp_path / "paths")
    assert_equal(found["train"], everything["train"][3:9])
    assert_equal(found["val"], everything["val"][:1])
    report = subset(store, tmp_path / "slots", Selection(samples=("17", "2"), splits=("train",)), **QUIET)
    assert_equal(read(tmp_path / "slots")["train"], [everything["train"][2], everything["train"][17]])
    assert report.splits == {"train": 2}


def test_a_limit_is_the_same_for_every_kind_and_nested(stores: Path, tmp_path: Path) -> None:
    chosen = {}
    for name, limit in (("native", 2), ("native", 4), ("int8", 4)):
        out = tmp_path / f"{name}-{limit}"
        report = subset(stores / f"{name}.zarr", out, Selection(limit_per_class=limit), **QUIET)
        assert report.splits == {"train": 2 * limit, "val": 2 * limit}
        chosen[name, limit] = {sample.path for samples in read(out).values() for sample in samples}
    assert chosen["native", 2] < chosen["native", 4] == chosen["int8", 4]


def test_a_split_and_the_channels_of_a_subset(store: Path, tmp_path: Path) -> None:
    report = subset(store, tmp_path / "out", Selection(splits=("val",)), channels="24", **QUIET)
    assert_equal(read(tmp_path / "out")["val"], read(store)["val"], set(ChannelMask.preset("24").indices.tolist()))
    assert (list(report.splits), report.channels.is_all, len(report.channels)) == (["val"], False, 24)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(classes=("bea", "cat")), r"no class 'bea' \(and 1 more unknown names\); did you mean bee\?"),
        (Selection(classes=("wolf",)), "no class 'wolf'; it has ant, bee"),
        (Selection(splits=("test",)), "no split 'test'; it has train, val"),
        (Selection(samples=("train/ant/99.jpg",)), "no sample of the source path 'train/ant/99.jpg'; did you mean"),
        (Selection(samples=("3",)), r"slots are numbered in each split \(train, val\): say which"),
        (Selection(samples=("99",), splits=("val",)), "there is no slot 99"),
        (Selection(samples=("val/ant/0.jpg",), splits=("train",)), "'val/ant/0.jpg' in the split train"),
    ],
)
def test_what_is_not_there_cannot_be_kept(stores: Path, tmp_path: Path, selection: Selection, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        subset(stores / "int8.zarr", tmp_path / "out", selection, **QUIET)
    assert not (tmp_path / "out").exists()


def test_an_empty_result_is_refused(stores: Path, tmp_path: Path) -> None:
    subset(stores / "int8.zarr", tmp_path / "ants", Selection(classes=("ant",), keep_labels=True), **QUIET)
    with pytest.raises(StoreError, match="no sample is left"):
        subset(tmp_path / "ants", tmp_path / "out", Selection(classes=("bee",)), **QUIET)
    assert not (tmp_path / "out").exists()


def test_two_halves_merged_are_the_whole(store: Path, tmp_path: Path) -> None:
    for name in ("bee", "ant"):
        subset(store, tmp_path / name, Selection(classes=(name,)), **QUIET)
    report = merge([tmp_path / "bee", tmp_path / "ant"], tmp_path / "out", **QUIET)
    assert report.id == freqcache.open(store).id
    assert files_of(tmp_path / "out", without=("zarr.json",)) == files_of(store, without=("zarr.json",))
    made_from = attributes(tmp_path / "out")["options"]["made_from"]["stores"]
    assert [entry["made_from"]["operation"] for entry in made_from] == ["subset", "subset"]
    in_turn = merge([tmp_path / "bee", tmp_path / "ant"], tmp_path / "in-turn", shuffle=False, **QUIET)
    bees, ants = (read(tmp_path / name)["val"] for name in ("bee", "ant"))
    assert_equal(read(tmp_path / "in-turn")["val"], [*bees, *ants])
    assert in_turn.classes == ("ant", "bee")


def test_splits_are_joined_by_name(stores: Path, tmp_path: Path) -> None:
    for split in ("val", "train"):
        subset(stores / "native.zarr", tmp_path / split, Selection(splits=(split,)), **QUIET)
    report = merge([tmp_path / "val", tmp_path / "train"], tmp_path / "out", **QUIET)
    assert list(report.splits) == ["train", "val"]
    assert report.id == freqcache.open(stores / "native.zarr").id


def test_stores_that_do_not_fit_are_refused(stores: Path, photos: Path, tmp_path: Path) -> None:
    freqcache.build(photos, tmp_path / "64", freqcache.BuildOptions(size=64), **QUIET)
    repack(stores / "int8.zarr", tmp_path / "24", channels="24", **QUIET)
    for other, words in (
        (stores / "native.zarr", "one is fixed, the other native"),
        (tmp_path / "64", "48 x 48 and 64 x 64 pixels"),
        (stores / "int16.zarr", "int8 and int16"),
        (tmp_path / "24", "192 and 24 channels, 168 of them not in both"),
    ):
        with pytest.raises(StoreError, match=words):
            merge([stores / "int8.zarr", other], tmp_path / "out", **QUIET)
    with pytest.raises(BuildError, match="at least two stores"):
        merge([stores / "int8.zarr"], tmp_path / "out", **QUIET)
    assert not (tmp_path / "out").exists()


def test_the_same_path_twice(stores: Path, tmp_path: Path) -> None:
    subset(stores / "int8.zarr", tmp_path / "a", Selection(limit_per_class=3), **QUIET)
    with pytest.raises(StoreError, match="the same file, by the digests; --allow-duplicates keeps both"):
        merge([stores / "int8.zarr", tmp_path / "a"], tmp_path / "out", **QUIET)
    report = merge([stores / "int8.zarr", tmp_path / "a"], tmp_path / "out", allow_duplicates=True, **QUIET)
    assert report.n_samples == 36 + 12
    assert report.notes == ("12 samples have the source path of one in an earlier store",)
    assert len(read(tmp_path / "out")["train"]) == 18 + 6
    again = repack(tmp_path / "out", tmp_path / "again", **QUIET)  # what a store has twice is no mistake of a rewrite
    assert again.id == report.id


def test_options_of_the_build_stay_known(stores: Path, photos: Path, tmp_path: Path) -> None:
    """A network trained on the new store takes files as its source's build did."""
    options = freqcache.BuildOptions.from_dict(attributes(stores / "int8.zarr")["options"])
    repack(stores / "int8.zarr", tmp_path / "out", channels="24", **QUIET)
    assert freqcache.BuildOptions.from_dict(attributes(tmp_path / "out")["options"]) == options
    reduced = freqcache.BuildOptions(extraction=ExtractionOptions(max_size=40))
    freqcache.build(photos, tmp_path / "reduced", reduced, **QUIET)
    subset(tmp_path / "reduced", tmp_path / "a", Selection(classes=("ant",)), **QUIET)
    subset(stores / "native.zarr", tmp_path / "b", Selection(classes=("bee",)), **QUIET)
    report = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged", **QUIET)
    assert report.notes == ("the stores were built with different max_size; the new one does not record them",)
    assert "max_size" not in attributes(tmp_path / "merged")["options"]


def test_a_hot_copy_is_not_carried_over(stores: Path, tmp_path: Path) -> None:
    repack(stores / "int8.zarr", tmp_path / "a", **QUIET)
    freqcache.make_hot(tmp_path / "a", "6", quiet=True)
    report: RewriteReport = repack(tmp_path / "a", tmp_path / "b", **QUIET)
    assert "is not carried over" in report.notes[0]
    assert not (tmp_path / "b" / "hot").exists()


def test_a_store_in_a_zip_file_can_be_rewritten(stores: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "store"), "zip", stores / "native.zarr")
    report = repack(tmp_path / "store.zip", tmp_path / "out", **QUIET)
    assert report.id == freqcache.open(stores / "native.zarr").id


def test_options_are_json(stores: Path, tmp_path: Path) -> None:
    subset(stores / "int8.zarr", tmp_path / "out", Selection(classes=("ant",), limit_per_class=2, seed=5), **QUIET)
    found = json.loads((tmp_path / "out" / "zarr.json").read_text())["attributes"]["freqcache"]["options"]["made_from"]
    assert found["kept"] == {"classes": ["ant"], "limit_per_class": 2, "seed": 5}


def test_nothing_stays_open(store: Path, tmp_path: Path) -> None:
    subset(store, tmp_path / "new.zarr", Selection(classes=("bee",)), **QUIET)
    assert rewriting_source._opened == {}
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(store, damaged)
    for part in (damaged / "train").rglob("c/*"):
        if part.is_dir() and part.parent.parent.name in ("y", "coefficients"):
            shutil.rmtree(part)
    with pytest.raises(StoreError):
        repack(damaged, tmp_path / "other.zarr", level=2, **QUIET)
    assert rewriting_source._opened == {}


def test_info_says_in_words_what_a_store_was_made_of(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subset(store, tmp_path / "new.zarr", Selection(classes=("bee",), limit_per_class=2), **QUIET)
    assert main(["info", str(tmp_path / "new.zarr")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"stores (id {freqcache.open(store).id})" in shown
    assert "(classes bee, limit_per_class 2, seed 0)" in shown
    assert "{" not in shown

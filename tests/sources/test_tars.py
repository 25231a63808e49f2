"""WebDataset tars: places and classes of samples against ``tarfile``, and tars that are not whole."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import pytest
from made_sources import add_member, content, write_tar, write_tars

import freqcache
from freqcache.errors import BuildError
from freqcache.sources import SourceTree, list_source
from freqcache.sources.tree import UNSPLIT

KINDS = {"ustar": tarfile.USTAR_FORMAT, "pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}


def entries(tree: SourceTree, split: str = UNSPLIT) -> list[tuple[str, str]]:
    """Return the name of each file, and its class or its problem."""
    return [(file.path, file.problem or tree.classes[file.label]) for file in tree.splits[split]]


@pytest.mark.parametrize("size", [None, 48])
def test_tars_of_a_folder_give_its_store(folder: Path, tmp_path: Path, size: int | None) -> None:
    options = freqcache.BuildOptions(shuffle=False, size=size)
    tars = write_tars(folder, tmp_path / "tars")
    freqcache.build(tars, tmp_path / "tars.zarr", options, workers=1, quiet=True)
    freqcache.build(folder, tmp_path / "folder.zarr", options, workers=1, quiet=True)
    assert content(tmp_path / "tars.zarr") == content(tmp_path / "folder.zarr")
    store = freqcache.open(tmp_path / "tars.zarr")
    assert (list(store.splits), store.classes) == (["train", "val"], ("ant", "bee"))


def test_the_number_of_workers_does_not_matter(folder: Path, tmp_path: Path) -> None:
    tars = write_tars(folder, tmp_path / "tars")
    ids = {freqcache.open(freqcache.build(tars, tmp_path / f"{n}.zarr", workers=n, quiet=True).path).id for n in (1, 2)}
    assert len(ids) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_those_that_tarfile_extracts(tmp_path: Path, kind: str) -> None:
    long = "a-directory-with-a-long-name/" * 5 + "000001" if kind != "ustar" else "d/" * 60 + "000001"
    members = [(f"{long}.JPG", os.urandom(700)), (f"{long}.cls", b"x"), ("é.png", b""), ("é.cls", b"y\n")]
    path = write_tar(tmp_path / "one.tar", members, kind=KINDS[kind])
    tree = list_source(path)
    with tarfile.open(path) as archive:
        for file in tree.splits[UNSPLIT]:
            found = archive.extractfile(file.path.removeprefix("one.tar/"))
            assert found is not None
            expected = found.read()
            assert tree.reader.read(file) == expected
            assert tree.reader.read(file, 16) == expected[:16]
    assert entries(tree) == [(f"one.tar/{long}.JPG", "x"), ("one.tar/é.png", "y")]


def test_samples_are_what_agrees_up_to_the_first_dot(tmp_path: Path) -> None:
    members = [
        ("./a/1.jpg", b"A"),
        ("b/1.jpg", b"B"),
        ("a/1.cls", b"7"),
        ("a/1.seg.png", b"no image of its own"),
        ("b/1.json", b'{"caption": "a cat", "label": 10}'),
        ("c.d/1.2.jpg", b"its extension is 2.jpg"),
        ("__meta__", b"{}"),
        ("__index__.json", b"{}"),
        (".hidden.jpg", b""),
        ("x/._1.jpg", b""),
        ("README", b""),
    ]
    tree = list_source(write_tar(tmp_path / "one.tar", members))
    assert entries(tree) == [("one.tar/a/1.jpg", "7"), ("one.tar/b/1.jpg", "10")]
    assert tree.classes == ("7", "10")
    assert tree.ignored == 6


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"1.jpg": b""}, "no class: expected a .cls, or a .json with a label, beside it"),
        ({"1.jpg": b"", "1.txt": b"cat"}, "no class: "),
        ({"1.jpg": b"", "1.json": b'{"caption": "cat"}'}, "no class: "),
        ({"1.jpg": b"", "1.json": b"[1]"}, "no class: "),
        ({"1.jpg": b"", "1.json": b"{"}, ".json: not JSON"),
        ({"1.jpg": b"", "1.json": b"[" * 100_000}, ".json: not JSON"),
        ({"1.jpg": b"", "1.json": b'{"label": [1]}'}, ".json: 'label' is neither a number nor a name: [1]"),
        ({"1.jpg": b"", "1.json": b'{"cls": true}'}, ".json: 'cls' is neither a number nor a name: True"),
        ({"1.jpg": b"", "1.cls": b" \n"}, ".cls: no class in it"),
        ({"1.jpg": b"", "1.cls": b"a\nb"}, ".cls: more than one line"),
        ({"1.jpg": b"", "1.cls": b"\xff"}, ".cls: not UTF-8"),
        ({"1.jpg": b"", "1.png": b"", "1.cls": b"a"}, "two images in one sample: 1.jpg and 1.png"),
        ({"1.cls": b"a"}, "no image beside its .cls"),
    ],
)
def test_a_sample_that_is_not_whole_is_in_the_ledger(members: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    tree = list_source(write_tar(tmp_path / "one.tar", [("0.jpg", b""), ("0.cls", b"b"), *members.items()]))
    good, bad = entries(tree)
    assert good == ("one.tar/0.jpg", "b")
    assert bad[1].startswith(problem)


def test_a_sample_that_is_there_twice_is_in_the_ledger(tmp_path: Path) -> None:
    tree = list_source(write_tar(tmp_path / "one.tar", [("0.jpg", b""), ("0.cls", b"b"), ("./0.jpg", b"")]))
    assert entries(tree) == [("one.tar/0.jpg", "two images in one sample: 0.jpg and 0.jpg")]


def test_problems_reach_the_ledger_of_a_build(folder: Path, tmp_path: Path) -> None:
    image = (folder / "train" / "ant" / "0.jpg").read_bytes()
    path = write_tar(tmp_path / "one.tar", [("0.jpg", image), ("0.cls", b"a"), ("1.jpg", image)])
    report = freqcache.build(path, tmp_path / "out.zarr", workers=1, quiet=True)
    assert report.n_samples == 1
    assert [entry.path for entry in report.failures] == ["one.tar/1.jpg"]
    report = freqcache.build(path, tmp_path / "again.zarr", workers=1, quiet=True)
    assert json.loads(report.ledger.read_text())["reason"].startswith("no class")


def test_a_list_of_classes_gives_names_to_numbers(tmp_path: Path) -> None:
    members = [("0.jpg", b""), ("0.cls", b"002"), ("1.jpg", b""), ("1.cls", b"ant")]
    write_tar(tmp_path / "one.tar", members)
    (tmp_path / "classes.txt").write_text("zebra\nant\nbee\n", encoding="utf-8-sig")
    tree = list_source(tmp_path / "one.tar")
    assert tree.classes == ("zebra", "ant", "bee")
    assert [file.label for file in tree.splits[UNSPLIT]] == [2, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a\nb\n", r"one.tar/0.jpg: its class '2' is not in .*classes.txt, which names 0 to 1"),
        ("a\n\nb\n", "classes.txt, line 2: no name"),
        ("a\nb\na\n", "classes.txt, line 3: the name 'a' of line 1 again"),
        ("", "classes.txt, line 1: no name"),
    ],
)
def test_a_list_of_classes_must_be_right(names: str, message: str, tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", [("0.jpg", b""), ("0.cls", b"2")])
    (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(BuildError, match=message):
        list_source(tmp_path / "one.tar")


def test_splits_are_in_the_names_or_the_folders(tmp_path: Path) -> None:
    for name in ("train/000.tar", "train/001.tar", "valid/000.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_tar(tmp_path / name, [("0.jpg", b""), ("0.cls", b"2")])
    tree = list_source(tmp_path)
    assert {split: [file.path for file in files] for split, files in tree.splits.items()} == {
        "train": ["train/000.tar/0.jpg", "train/001.tar/0.jpg"],
        "val": ["valid/000.tar/0.jpg"],
    }
    pattern = list_source(str(tmp_path / "{train,valid}" / "{000..000}.tar"))
    assert [file.path for files in pattern.splits.values() for file in files] == [
        "train/000.tar/0.jpg",
        "valid/000.tar/0.jpg",
    ]
    (tmp_path / "others.tar").write_bytes((tmp_path / "train/000.tar").read_bytes())
    with pytest.raises(BuildError, match=r"the name train/000.tar says its split and others.tar does not"):
        list_source(tmp_path)
    (tmp_path / "others.tar").rename(tmp_path / "train-test-0.tar")
    with pytest.raises(BuildError, match=r"train-test-0.tar: its name means the splits test and train"):
        list_source(tmp_path)


@pytest.mark.parametrize("cut", [1, 511, 512, 1300, 2048, 2600, 3 * 512, 4 * 512])
def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    """Wherever it is cut: in a header, in an image, between members, and where only the end is missing."""
    whole = write_tar(tmp_path / "one.tar", [("0.jpg", bytes(800)), ("0.cls", b"2"), ("1.jpg", b"1")], kind=0)
    data = whole.read_bytes()
    assert list_source(whole)
    whole.write_bytes(data[:cut])
    with pytest.raises(BuildError, match=r"one.tar: is (damaged|not whole)"):
        list_source(whole)


def test_a_tar_with_a_damaged_header_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "one.tar", [("0.jpg", b"0"), ("0.cls", b"2"), ("1.jpg", b"1")], kind=0)
    data = bytearray(path.read_bytes())
    data[2 * 1024 + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(BuildError, match="is not whole: no valid header at byte 2048"):
        list_source(path)


def test_what_cannot_be_read_at_a_place_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "one.tar", [("0.jpg", b"0"), ("0.cls", b"2")])
    (tmp_path / "zipped.tar").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(BuildError, match=r"is compressed, and .* unpack it first .gunzip"):
        list_source(tmp_path / "zipped.tar")
    sparse = tarfile.TarInfo("1.jpg")
    sparse.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    (tmp_path / "sparse.tar").write_bytes(header + bytes(1024))
    with pytest.raises(BuildError, match=r"1.jpg is stored sparse"):
        list_source(tmp_path / "sparse.tar")


def test_links_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "one.tar", "w") as archive:
        add_member(archive, "0.jpg", b"0")
        add_member(archive, "0.cls", b"2")
        link = tarfile.TarInfo("1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "0.jpg"
        archive.addfile(link, io.BytesIO())
    tree = list_source(tmp_path / "one.tar")
    assert (tree.n_files, tree.ignored) == (1, 1)


def test_a_tar_that_changes_ends_the_build(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "one.tar", [("0.jpg", b"0"), ("0.cls", b"2")])
    tree = list_source(path)
    (file,) = tree.splits[UNSPLIT]
    os.utime(path, ns=(0, file.mtime_ns + 1))
    with pytest.raises(BuildError, match=r"one.tar: this file of the source has changed"):
        tree.reader.read(file)
    path.unlink()
    with pytest.raises(BuildError, match=r"one.tar: this file of the source can no longer be opened"):
        tree.reader.read(file)


def test_what_travels_to_workers_is_small(tmp_path: Path) -> None:
    members = [(f"{i:06}.{kind}", b"7") for i in range(512) for kind in ("jpg", "cls")]
    tree = list_source(write_tar(tmp_path / "one.tar", members))
    assert len(pickle.dumps(tree.reader)) < 500
    assert len(pickle.dumps(tree.splits[UNSPLIT])) < 100 * tree.n_files

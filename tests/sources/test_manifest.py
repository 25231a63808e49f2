"""Manifests: what is listed, in what order, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sources import content, write_manifest

import freqcache
from freqcache.errors import BuildError
from freqcache.sources import list_source
from freqcache.sources.tree import UNSPLIT


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_manifest_of_a_folder_gives_its_store(folder: Path, store: Path, tmp_path: Path, suffix: str) -> None:
    manifest = write_manifest(folder, tmp_path / f"list{suffix}", delimiter="\t" if suffix == ".tsv" else ",")
    out = tmp_path / "out.zarr"
    freqcache.build(manifest, out, freqcache.BuildOptions(shuffle=False), workers=1, quiet=True)
    assert content(out) == content(store)
    assert freqcache.open(out).classes == freqcache.open(store).classes


def test_relative_names_give_the_very_store_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """The same names are shuffled in the same way: not a byte differs."""
    manifest = write_manifest(folder, folder.parent / folder.name / "list.csv")
    try:
        one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
        freqcache.build(manifest, one, workers=1, quiet=True)
        freqcache.build(folder, two, workers=1, quiet=True)
    finally:
        manifest.unlink()
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert files
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_rows_are_read_as_rfc_4180_has_it(tmp_path: Path) -> None:
    (tmp_path / 'a,"b".jpg').write_bytes(b"x")
    (tmp_path / "line\nbreak.jpg").write_bytes(b"xy")
    text = '\ufefflabel,note,path\r\n10,"one, two","a,""b"".jpg"\r\n\r\n9,,"line\nbreak.jpg"\r\n 9 ,,/gone/c.jpg\r\n'
    tree = list_source(write(tmp_path / "list.CSV", text))
    assert tree.classes == ("9", "10")
    first, second, gone = tree.splits[UNSPLIT]
    assert (first.path, first.label, first.size) == ('a,"b".jpg', 1, 1)
    assert (second.path, second.label, second.size) == ("line\nbreak.jpg", 0, 2)
    assert (gone.path, gone.problem) == ("/gone/c.jpg", "cannot be read: No such file or directory")
    assert tree.reader.read(second) == b"xy"
    assert tree.find("line\nbreak.jpg") == second
    assert tree.find("other") is None


def test_names_that_are_not_all_numbers_are_sorted_as_text(tmp_path: Path) -> None:
    tree = list_source(write(tmp_path / "list.csv", "path,label,split\na,10,valid\nb,9,train\nc,x,train\n"))
    assert tree.classes == ()  # none of the files is there
    for name in "abc":
        (tmp_path / name).write_bytes(b"x")
    tree = list_source(tmp_path / "list.csv")
    assert tree.classes == ("10", "9", "x")
    assert list(tree.splits) == ["train", "val"]


def test_a_file_that_is_not_there_is_in_the_ledger(folder: Path, tmp_path: Path) -> None:
    manifest = write_manifest(folder, tmp_path / "list.csv")
    with manifest.open("a") as file:
        file.write("nowhere/x.jpg,ant,train\n")
    report = freqcache.build(manifest, tmp_path / "out.zarr", workers=1, quiet=True)
    assert [(entry.path, entry.reason) for entry in report.failures] == [
        ("nowhere/x.jpg", "cannot be read: No such file or directory")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column path and no column label in its header; found nothing"),
        ("path,class\na,b\n", "line 1: no column label in its header; found path, class"),
        ("path,label,label\na,b,c\n", "line 1: more than one column label"),
        ("path,label\n", "no rows below its header"),
        ("path,label\na.jpg,x\n\n ,x\n", "line 4: no path"),
        ("path,label\na.jpg, \n", "line 2: no label"),
        ("path,label\na.jpg\n", "line 2: 1 fields where the header has 2"),
        ("path,label\na.jpg,b,c\n", "line 2: 3 fields where the header has 2"),
        ("path,label,split\na.jpg,x,dev\n", "line 2: unknown split 'dev'; expected one of train, val,"),
        ("path,label,split\na.jpg,x,\n", "line 2: unknown split ''"),
        ('path,label\n"b\n.jpg",x\na.jpg,x\n./a.jpg,y\n', "line 5: ./a.jpg is in line 4 already"),
        ('path,label\n"a"b,x\n', "line 2: .* expected after"),
        ('path,label\na,"x\n', "line 2: unexpected end of data"),
        ("path,label\na\0b,x\n", "line 2: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BuildError, match=message) as error:
        list_source(write(tmp_path / "list.csv", text))
    assert str(error.value).startswith(str(tmp_path / "list.csv"))


def test_another_encoding_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("path,label\nb,c\nstraße,x\n".encode("latin-1"))
    with pytest.raises(BuildError, match="line 3: not UTF-8"):
        list_source(tmp_path / "list.csv")

"""Listings as tables, against tuples and dicts of the same files."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
from photographs import write_tree

from freqcache.errors import BuildError
from freqcache.sources import Item, SourceFile, SourceTree, list_source, repeats
from freqcache.sources.folder import FolderReader, suffix_of
from freqcache.sources.items import spool_items
from freqcache.sources.repeats import Names, Repeat
from freqcache.sources.spool import Spool
from freqcache.sources.table import FileTable, encoded_paths


def a_name(draw: random.Random) -> str:
    """Return a name as file systems, tables and programs have them: of any bytes, empty, or very long."""
    kind = draw.randrange(8)
    if kind == 0:
        return ""
    if kind == 1:
        return draw.randbytes(draw.randrange(1, 20)).decode("utf-8", "surrogateescape")
    if kind == 2:
        return "é/日本/\U0001f600\n\0" + chr(draw.randrange(0x400))
    if kind == 3:
        return "x" * draw.randrange(5000)
    return f"class/{draw.randrange(1 << 30)}.jpg"


def some_files(seed: int, count: int) -> tuple[SourceFile, ...]:
    """Return files with whatever a listing may say."""
    draw = random.Random(seed)
    return tuple(
        SourceFile(
            path=f"{i}{a_name(draw)}",
            label=draw.choice((-1, 0, 1, 2, (1 << 31) - 1)),
            size=draw.choice((0, 1, (1 << 63) - 1)),
            mtime_ns=draw.choice((0, -1, 1_700_000_000_123_456_789, 10_413_795_600_000_000_001)),  # the last: 2300
            container=draw.choice(("", "a.tar", a_name(draw))),
            position=draw.choice((0, 1 << 62)),
            problem=draw.choice(("", "", "no class", a_name(draw))),
        )
        for i in range(count)
    )


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 9000])  # about the sizes of its pieces
def test_a_table_is_a_sequence_of_its_files(count: int, tmp_path: Path) -> None:
    files = some_files(count, count)  # of 9,000 there is more than stays in memory
    table = FileTable.of(files, tmp_path / "scratch")
    assert FileTable.of(table) is table
    assert len(table) == count
    assert tuple(table) == files
    assert table == files
    assert (table == files[:-1]) == (count == 0)
    assert list(encoded_paths(table)) == list(encoded_paths(files))
    assert pickle.loads(pickle.dumps(table)) == files
    for place in (slice(None), slice(2, 5), slice(-3, None), slice(8000, 99_999), slice(None, None, -500), slice(5, 2)):
        assert table[place] == files[place]
    for number in {0, count // 2, -1} if count else ():
        assert table[number] == files[number]
    for number in (count, -count - 1):
        with pytest.raises(IndexError):
            table[number]


def test_files_are_added_after_some_were_read() -> None:
    first, second = some_files(1, 2)
    table = FileTable()
    for i, file in enumerate((first, second)):
        table.add_file(file)
        assert (len(table), table[i]) == (i + 1, file)


def test_labels_are_exchanged_but_not_that_of_a_problem() -> None:
    files = [replace(file, label=label) for file, label in zip(some_files(0, 4), (1, 0, -1, 2), strict=True)]
    table = FileTable.of(files)
    table.relabel([10, 11, 12])
    assert [file.label for file in table] == [11, 10, -1, 12]


@pytest.mark.parametrize("tables", [False, True])
def test_files_are_found_by_their_names(tables: bool, tmp_path: Path) -> None:
    splits = {"train": some_files(1, 3000), "val": some_files(2, 700)}
    splits["val"] = tuple(replace(file, path=f"val/{file.path}") for file in splits["val"])
    splits["val"] += (replace(splits["train"][5], size=77),)  # of two files of one name, the last
    held = {name: FileTable.of(files, tmp_path) for name, files in splits.items()} if tables else splits
    tree = SourceTree(root=tmp_path, reader=FolderReader(root=tmp_path), classes=("a",), splits=held, ignored=0)
    assert tree.n_files == len(tree.files) == 3701
    assert tuple(tree.files) == (*splits["train"], *splits["val"])
    assert [tree.files[i] for i in (0, 2999, 3000, -1)] == [tuple(tree.files)[i] for i in (0, 2999, 3000, -1)]
    assert tree.files[2999:3001] == tuple(tree.files)[2999:3001]
    expected = {file.path: file for files in splits.values() for file in files}
    for path, file in expected.items():
        assert tree.find(path) == file
    assert pickle.loads(pickle.dumps(tree)) == tree  # without what names are found by
    for path in ("", "0", "train/none.jpg", "\udcff", "\ud800"):
        assert tree.find(path) == expected.get(path)


def test_endings_are_those_of_pathlib() -> None:
    names = ("a.jpg", ".jpg", "a.", "a", "a.b.JPG", "..jpg", "...jpg", "a.b/c", "a/.b", "x/a.tar.gz", "a b.c d", ".a.b")
    assert [suffix_of(name) for name in names] == [Path(name).suffix for name in names]


def test_a_folder_is_listed_in_order_whatever_is_in_it(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    names = [b"b.jpg", b"\xff\xfe.jpg", b"a/z.JPG", b"a.jpg", b"a/b/c.png", b"B.jpg", b".hidden.jpg", b"note.txt"]
    for name in names:
        path = root / "cats" / name.decode("utf-8", "surrogateescape")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    (root / "cats" / "a" / "up").symlink_to(root / "cats", target_is_directory=True)  # round in a circle
    (root / "cats" / "gone.jpg").symlink_to(tmp_path / "nothing")
    (root / "cats" / "self.jpg").symlink_to("self.jpg")
    (root / "dogs").mkdir()
    (root / "dogs" / "x.jpg").symlink_to(root / "cats" / "a.jpg")
    tree = list_source(root)
    expected = ["B.jpg", "a.jpg", "b.jpg", "gone.jpg", "self.jpg", "\udcff\udcfe.jpg", "a/z.JPG", "a/b/c.png"]
    (files,) = tree.splits.values()
    assert [file.path for file in files] == [*(f"cats/{name}" for name in expected), "dogs/x.jpg"]
    assert [file.size for file in files] == [5, 5, 5, 0, 0, 6, 7, 9, 5]
    for file in files[:3]:
        status = (root / file.path).stat()
        assert (file.size, file.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert tree.ignored == 1
    assert tree.find("cats/\udcff\udcfe.jpg") == files[5]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_names_that_come_twice_are_told(at_once: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(repeats, "_AT_ONCE", at_once)
    monkeypatch.setattr(repeats, "CHUNK_ROWS", 4)
    for seed in range(30):
        draw = random.Random(seed)
        came = [draw.choice(("a", "b", "c")) + a_name(draw) * (seed % 2) for _ in range(draw.randrange(1, 12))]
        first: dict[str, int] = {}
        expected = None
        for number, name in enumerate(came):
            if name in first and expected is None:
                expected = Repeat(name, first[name], number)
            first.setdefault(name, number)
        names, found = Names(tmp_path), None
        for number, name in enumerate(came):
            before = names.add(name, number)
            if before is not None:
                found = Repeat(name, before, number)
                break
        found = found or names.repeat()
        assert (found is None) == (expected is None)
        if found is not None:  # told at once, or with the earliest of all
            assert came[found.first] == came[found.second] == found.name
            assert at_once < 100 or found == expected


def test_a_path_that_comes_late_a_second_time_ends_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_AT_ONCE", 1)
    (tmp_path / "list.csv").write_text("path,label\na,x\nb,x\nc,x\n./b,x\n")
    with pytest.raises(BuildError, match=r"list.csv, line 5: ./b is in line 3 already"):
        list_source(tmp_path / "list.csv")


def test_a_name_that_comes_late_a_second_time_ends_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_AT_ONCE", 1)
    items = [Item(data=b"", label="x", name=name) for name in ("a", "b", "c", "b")]
    with (
        Spool(tmp_path / "out") as spool,
        pytest.raises(BuildError, match="item 3: the name 'b' is that of"),
    ):
        spool_items(items, spool, quiet=True)


def test_half_a_character_is_no_name(tmp_path: Path) -> None:
    items = [Item(data=b"", label="x", name="\ud800")]
    with Spool(tmp_path / "out") as spool, pytest.raises(BuildError, match=r"item 0: name: '.*' is not UTF-8"):
        spool_items(items, spool, quiet=True)


def test_listings_that_say_the_same_are_equal(tmp_path: Path) -> None:
    write_tree(tmp_path / "photos", per_class=1)
    assert list_source(tmp_path / "photos") == list_source(tmp_path / "photos")

"""Listing a source folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from freqcache.errors import BuildError
from freqcache.sources.folder import list_folder
from freqcache.sources.tree import UNSPLIT


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_class_folders_make_one_split(tmp_path: Path) -> None:
    tree = list_folder(touch(tmp_path, "b/2.jpg", "b/1.JPEG", "a/deep/er/0.png", "a/notes.txt", ".git/x.jpg"))
    assert tree.classes == ("a", "b")
    assert [(file.path, file.label) for file in tree.splits[UNSPLIT]] == [
        ("a/deep/er/0.png", 0),
        ("b/1.JPEG", 1),
        ("b/2.jpg", 1),
    ]
    assert tree.ignored == 1


def test_split_folders_make_splits_with_common_classes(tmp_path: Path) -> None:
    tree = list_folder(touch(tmp_path, "validation/b/1.jpg", "train/a/1.jpg", "test/c/1.jpg"))
    assert list(tree.splits) == ["train", "val", "test"]
    assert tree.classes == ("a", "b", "c")
    assert [file.label for files in tree.splits.values() for file in files] == [0, 1, 2]


def test_a_class_named_test_is_a_class(tmp_path: Path) -> None:
    tree = list_folder(touch(tmp_path, "test/1.jpg", "exam/1.jpg"))
    assert tree.classes == ("exam", "test")
    assert list(list_folder(touch(tmp_path / "only", "train/1.jpg")).splits) == [UNSPLIT]


def test_a_dangling_link_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    assert [file.path for file in list_folder(tmp_path).splits[UNSPLIT]] == ["a/1.jpg", "a/2.jpg"]


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "it is empty"), (("1.jpg",), "no class folders"), (("a/readme.txt",), "no images.*1 other")],
)
def test_sources_without_images_say_why(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        list_folder(touch(tmp_path, *names))


def test_missing_folder_and_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such folder"):
        list_folder(tmp_path / "gone")
    touch(tmp_path, "file.jpg")
    with pytest.raises(BuildError, match="not a folder"):
        list_folder(tmp_path / "file.jpg")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/1.jpg", "val/a/1.jpg", "__MACOSX/x/1.jpg"), "also __MACOSX: a split or a class"),
        (("train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"), "val/ and valid/ both mean the split 'val'"),
    ],
)
def test_ambiguous_folders_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        list_folder(touch(tmp_path, *names))


def test_what_is_not_taken_is_counted_or_named(tmp_path: Path) -> None:
    tree = list_folder(touch(tmp_path, "a/1.jpg", "b/notes.txt", "stray.jpg"))
    assert tree.classes == ("a",)
    assert tree.empty_folders == ("b",)
    assert tree.ignored == 2


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "elsewhere/deep/2.jpg")
    (tmp_path / "elsewhere").rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (tmp_path / "a" / "linked").symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    assert [file.path for file in list_folder(tmp_path).splits[UNSPLIT]] == ["a/1.jpg", "a/linked/deep/2.jpg"]


def test_an_empty_name_is_no_source() -> None:
    with pytest.raises(BuildError, match="empty name"):
        list_folder("")


def test_names_too_long_for_the_system_are_one_line() -> None:
    with pytest.raises(BuildError, match="cannot be listed"):
        list_folder("x" * 300)

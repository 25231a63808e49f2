"""Which kind a source is taken for, and what is said where it is none."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest
from made_sources import write_tar

from freqcache.errors import BuildError
from freqcache.sources import list_source
from freqcache.sources.containers import expand
from freqcache.sources.table import FileTable
from freqcache_cli.main import main


def tar(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tar(path, [("0.jpg", b"0"), ("0.cls", b"2")])


def file(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.jpg", "one image is no source; expected a folder of class folders"),
        ("photos.zip", "cannot be read as it is; unzip it and give the folder"),
        ("photos.tar.gz", "cannot be read as it is; gunzip it and give the .tar"),
        ("photos.TGZ", "gunzip it"),
        ("data.arrow", "give the folder that save_to_disk wrote"),
        ("photos.h5", "not a source; expected a folder of class folders, .* Parquet files"),
        ("photos", "not a source; expected"),
    ],
)
def test_other_files_are_refused_with_what_to_do(
    tmp_path: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file(tmp_path / name)
    with pytest.raises(BuildError, match=message):
        list_source(tmp_path / name)
    assert main(["build", str(tmp_path / name), str(tmp_path / "out.zarr"), "--workers", "1"]) == 1
    shown = capsys.readouterr().err
    assert len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "no such folder"),
        ("gone.csv", "gone.csv: no such file"),
        ("gone.parquet", "gone.parquet: no such file"),
        ("gone.tar.gz", "no such f"),
        ("gone-{0..2}.tar", "3 of its 3 files are missing; the first: .*gone-0.tar"),
        ("{a,b}.jpg", "a pattern stands for .tar files or for .parquet files"),
        ("{a}.tar", "neither a range .* nor a list"),
        ("{3..1}.tar", "is no range of 1 to 1000000 numbers"),
        ("{0..999999}-{0..999999}.tar", "stands for more than 1000000 files"),
    ],
)
def test_what_is_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        list_source(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BuildError, match="neither a folder nor a regular file"):
        list_source(tmp_path / "pipe.csv")


def test_a_folder_with_class_folders_stays_one(tmp_path: Path) -> None:
    """Archives that lie about in it are passed over and counted, as they ever were."""
    tar(tmp_path / "download.tar")
    file(tmp_path / "cat" / "1.jpg")
    tree = list_source(tmp_path)
    assert (tree.classes, tree.ignored) == (("cat",), 1)
    tar(tmp_path / "only" / "train" / "download.tar")
    file(tmp_path / "only" / "train" / "1.jpg")
    assert list_source(tmp_path / "only").classes == ("train",)


def test_two_kinds_of_containers_are_ambiguous(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar")
    file(tmp_path / "data" / "a.parquet")
    with pytest.raises(BuildError, match=r"holds both .tar and .parquet files"):
        list_source(tmp_path)


def test_containers_without_images_say_so(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("README", b""), ("1.heic", b"")])
    with pytest.raises(BuildError, match=r"a.tar: no images in it .2 files are none."):
        list_source(tmp_path / "a.tar")


def test_a_folder_named_with_braces_is_a_folder(tmp_path: Path) -> None:
    file(tmp_path / "{a,b}" / "cat" / "1.jpg")
    assert list_source(tmp_path / "{a,b}").classes == ("cat",)


def test_braces_are_expanded_as_by_a_shell() -> None:
    assert expand("{a,b}/x-{08..10}.tar") == [
        *("a/x-08.tar", "a/x-09.tar", "a/x-10.tar"),
        *("b/x-08.tar", "b/x-09.tar", "b/x-10.tar"),
    ]
    assert expand("{9..10}") == ["9", "10"]


def test_a_store_beside_its_source_does_not_touch_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tar(tmp_path / "a.tar")
    assert main(["build", str(path), str(path), "--workers", "1"]) == 1
    assert "would replace its own source" in capsys.readouterr().err
    assert main(["build", str(tmp_path), str(tmp_path / "out.zarr"), "--workers", "1"]) == 1
    assert "lies inside its own source" in capsys.readouterr().err
    assert main(["build", str(path), str(tmp_path / "out.zarr"), "--workers", "1"]) == 1
    assert "none of its 1 files could be used; the first: a.tar/0.jpg" in capsys.readouterr().err


def test_a_listing_of_a_url_keeps_its_temporary_files_where_it_is_told(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/kinds/photos/one/0.jpg", b"0")
    tree = list_source("memory://kinds/photos", scratch=tmp_path)
    files = tree.splits["all"]
    assert isinstance(files, FileTable)
    assert files.folder == tmp_path

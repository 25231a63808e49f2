"""Parquet files and saved datasets, made by pyarrow as Hugging Face ``datasets`` makes them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from made_sources import content, images, write_parquet, write_saved

import freqcache
from freqcache.errors import BuildError, SourceError
from freqcache.sources import list_source
from freqcache.sources.tree import UNSPLIT

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None) -> Path:
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=2)
    return path


def structs(data: list[bytes | None], paths: list[str | None] | None = None) -> Any:
    return pa.StructArray.from_arrays(
        [pa.array(data, pa.binary()), pa.array(paths or [None] * len(data), pa.string())], ["bytes", "path"]
    )


@pytest.mark.parametrize("write_it", [write_parquet, write_saved])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_dataset_of_a_folder_gives_its_store(
    folder: Path, store: Path, tmp_path: Path, write_it: Any, workers: int
) -> None:
    made, out = write_it(folder, tmp_path / "made"), tmp_path / "stores" / "out.zarr"
    report = freqcache.build(made, out, freqcache.BuildOptions(shuffle=False), workers=workers, quiet=True)
    assert content(out) == content(store)
    assert freqcache.open(out).classes == freqcache.open(store).classes
    assert report.n_failed == 0
    assert [path.name for path in out.parent.iterdir()] == ["out.zarr"]  # the spool is gone


@pytest.mark.parametrize("options", [{}, {"compression": "none"}, {"compression": "zstd", "use_dictionary": False}])
def test_bytes_are_those_of_the_files_in_any_order(folder: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    tree = list_source(write_parquet(folder, tmp_path / "made", named=False, row_group_size=4, **options))
    expected = {(split, i): path.read_bytes() for i, (split, _, path) in enumerate(images(folder))}
    files = [file for listed in tree.splits.values() for file in listed]
    names = [tree.classes[file.label] for file in files]
    assert names == [name for _, name, _ in images(folder)]
    for i in [*range(len(files)), 5, 3, 27, 0, 27, 26, 14, 13]:
        (data,) = [value for (_, number), value in expected.items() if number == i]
        assert tree.reader.read(files[i]) == data
        assert tree.reader.read(files[i], 10) == data[:10]


def test_names_are_file_row_and_path(tmp_path: Path) -> None:
    table = {"image": structs([b"x"] * 3, ["a/b/1.jpg", None, "C:\\2.jpg"]), "label": [3, 1, 20]}
    path = write(tmp_path / "some.parquet", table)
    tree = list_source(path)
    assert [file.path for file in tree.splits[UNSPLIT]] == [
        "some.parquet/0/1.jpg",
        "some.parquet/1",
        "some.parquet/2/2.jpg",
    ]
    assert tree.classes == ("1", "3", "20")
    assert tree.find("some.parquet/1").position == 1  # type: ignore[union-attr]


def test_the_schema_says_the_classes(tmp_path: Path) -> None:
    features = {"picture": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["zebra", "ant", "bee"]}}
    data = [b"x", b"y", None, b"z", b"w", b"v"]
    columns = {"thumbnail": pa.array(data, pa.binary()), "picture": structs(data), "kind": [1, -1, 0, None, 3, 1]}
    tree = list_source(write(tmp_path / "some.parquet", columns, features))
    assert tree.classes == ("zebra", "ant", "bee")
    files = tree.splits[UNSPLIT]
    assert [(file.label, file.problem) for file in files] == [
        (1, ""),
        (-1, "no label (-1)"),
        (0, ""),
        (-1, "no label"),
        (-1, "its label 3 is none of 0 to 2"),
        (1, ""),
    ]
    with pytest.raises(SourceError, match="no image in this row"):
        tree.reader.read(files[2])
    assert tree.reader.read(files[5]) == b"v"


def test_plain_columns_will_do(tmp_path: Path) -> None:
    """Binary images, and labels as pandas has categories, with metadata that claim more than there is."""
    labels = pa.array(["x", None, "y"]).dictionary_encode()
    features = {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    columns = {"id": ["1", "2", "3"], "photo": pa.array([b"1", b"22", b"333"]), "label": labels}
    tree = list_source(write(tmp_path / "some.parquet", columns, features))
    files = tree.splits[UNSPLIT]
    assert tree.classes == ("x", "y")
    assert [file.problem for file in files] == ["", "no label", ""]
    assert [tree.reader.read(file) for file in files] == [b"1", b"22", b"333"]


def test_rows_without_an_image_are_in_the_ledger(folder: Path, tmp_path: Path) -> None:
    image = (folder / "train" / "ant" / "0.jpg").read_bytes()
    path = write(tmp_path / "some.parquet", {"image": structs([image, None, b"no"]), "label": ["a", "a", ""]})
    report = freqcache.build(path, tmp_path / "out.zarr", workers=1, quiet=True)
    assert report.n_samples == 1
    assert [(entry.path, entry.reason) for entry in report.failures] == [
        ("some.parquet/1", "no image in this row (only a path to a file that is elsewhere)"),
        ("some.parquet/2", "no label"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [1]}, "no column of images; name it 'image'. Its columns: label: int64"),
        ({"image": structs([b"x"])}, "no column of labels; name it 'label'. Its columns: image: struct"),
        ({"image": ["text"], "label": [1]}, "no column of images"),
        ({"a": structs([b"x"]), "b": structs([b"x"]), "label": [1]}, "more than one column of images .a, b."),
        ({"image": structs([b"x"]), "label": [1.5]}, "no column of labels"),
    ],
)
def test_tables_of_other_things_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=f"some.parquet: {message}"):
        list_source(write(tmp_path / "some.parquet", columns))


def test_files_must_agree_on_the_classes(tmp_path: Path) -> None:
    columns = {"image": structs([b"x"]), "label": [0]}
    for number, names in enumerate((["a", "b"], ["b", "a"])):
        write(tmp_path / f"{number}.parquet", columns, {"label": {"_type": "ClassLabel", "names": names}})
    with pytest.raises(BuildError, match=r"1.parquet: names other classes than the file before it"):
        list_source(tmp_path)


@pytest.mark.parametrize("features", [{"label": {"_type": "ClassLabel", "names": ["a", "a"]}}])
def test_names_of_classes_must_differ(tmp_path: Path, features: dict[str, Any]) -> None:
    with pytest.raises(BuildError, match="names of its classes are none, or not different"):
        list_source(write(tmp_path / "a.parquet", {"image": structs([b"x"]), "label": [0]}, features))


def test_damaged_files_are_one_line(folder: Path, tmp_path: Path) -> None:
    made = write_parquet(folder, tmp_path / "made")
    (path,) = (made / "data").glob("train-*")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BuildError, match=r"train-00000-of-00001.parquet: is damaged, or no Parquet file"):
        list_source(made)


def test_a_damaged_row_group_fails_its_rows(folder: Path, tmp_path: Path) -> None:
    made = write_parquet(folder, tmp_path / "made", row_group_size=7, compression="zstd", use_dictionary=False)
    (path,) = (made / "data").glob("train-*")
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    report = freqcache.build(made, tmp_path / "out.zarr", workers=1, quiet=True)
    assert {entry.path.split("/")[1] for entry in report.failures} == {"train-00000-of-00001.parquet"}
    assert 1 <= report.n_failed <= 7
    assert report.n_samples == 28 - report.n_failed


def test_another_time_is_another_build(folder: Path, tmp_path: Path) -> None:
    from freqcache.building.plan import fingerprint

    made, options = write_parquet(folder, tmp_path / "made"), freqcache.BuildOptions()
    before = fingerprint(list_source(made), options)
    assert fingerprint(list_source(made), options) == before
    (path,) = (made / "data").glob("train-*")
    os.utime(path, ns=(0, 1))
    assert fingerprint(list_source(made), options) != before


@pytest.mark.parametrize("write_it", [write_parquet, write_saved])
def test_without_pyarrow_it_is_asked_for(
    folder: Path, tmp_path: Path, write_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_it(folder, tmp_path / "made")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BuildError, match=r"needs pyarrow, which is not installed: pip install 'freqcache\[parquet\]'"):
        list_source(made)


def test_one_split_of_a_saved_dataset(folder: Path, tmp_path: Path) -> None:
    made = write_saved(folder, tmp_path / "made")
    tree = list_source(made / "val")
    assert list(tree.splits) == ["val"]
    wanted = [path.read_bytes() for split, _, path in images(folder) if split == "val"]
    assert [tree.reader.read(file) for file in tree.splits["val"]] == wanted
    assert type(tree.reader).__name__ == "RangeReader"


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("dataset_dict.json", {"splits": ["train", "extra"]}, "the split 'extra' is none of train, val"),
        ("dataset_dict.json", {"splits": []}, "names no splits"),
        ("dataset_dict.json", [], "expected a JSON object"),
        ("train/state.json", {}, "does not name its data files"),
        ("train/state.json", {"_data_files": [{"filename": "gone.arrow"}]}, "gone.arrow: cannot be read"),
        ("train/state.json", {"_indices_data_files": [{"filename": "i.arrow"}]}, "reordered by indices"),
    ],
)
def test_saved_datasets_that_are_not_whole(
    folder: Path, tmp_path: Path, name: str, document: object, message: str
) -> None:
    made = write_saved(folder, tmp_path / "made")
    (made / name).write_text(json.dumps(document))
    with pytest.raises(BuildError, match=message):
        list_source(made)


def test_damaged_or_compressed_arrow_files_are_refused(folder: Path, tmp_path: Path) -> None:
    made = write_saved(folder, tmp_path / "made")
    path = made / "train" / "data-00000-of-00001.arrow"
    data = path.read_bytes()
    table = pa.ipc.open_stream(data).read_all()  # not mapped: the file is truncated next
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BuildError, match="is damaged, or no Arrow stream"):
        list_source(made)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema, options=options) as stream:
        stream.write_table(table)
    with pytest.raises(BuildError, match="is compressed; load it and save_to_disk again"):
        list_source(made)


@pytest.mark.parametrize("value", [-1, 1 << 30])
def test_places_outside_of_an_arrow_file_are_refused(folder: Path, tmp_path: Path, value: int) -> None:
    made = write_saved(folder, tmp_path / "made")
    path = made / "train" / "data-00000-of-00001.arrow"
    content = pa.py_buffer(path.read_bytes())
    offsets = pa.ipc.open_stream(content).read_next_batch().column("image").field("bytes").buffers()[1]
    data = bytearray(path.read_bytes())
    start = offsets.address - content.address + 4
    data[start : start + 4] = value.to_bytes(4, "little", signed=True)
    path.write_bytes(data)
    with pytest.raises(BuildError, match="is damaged, or no Arrow stream"):
        list_source(made)

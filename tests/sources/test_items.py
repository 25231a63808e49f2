"""Builds from iterables: spooled once, the same store again, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from build_process import SMALL
from made_sources import content, images, items_of

import freqcache
from freqcache.building import making
from freqcache.errors import BuildError
from freqcache.sources.spool import Spool

JPEG = b"\xff\xd8"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_items_of_a_folder_give_its_store(folder: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "stores" / "out.zarr"
    freqcache.build(items_of(folder), out, freqcache.BuildOptions(shuffle=False), workers=2, quiet=True)
    assert content(out) == content(store)
    assert left(out.parent) == ["out.zarr"]


def test_items_with_the_names_of_files_give_the_very_store(folder: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    freqcache.build(items_of(folder, names=True), one, workers=1, quiet=True)
    freqcache.build(folder, two, workers=1, quiet=True)
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert files
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


@pytest.mark.parametrize("data", [bytes, bytearray, memoryview])
def test_any_bytes_and_numbers_will_do(folder: Path, tmp_path: Path, data: type) -> None:
    image = next(images(folder))[2].read_bytes()
    items = [freqcache.Item(data=data(image), label=label) for label in (10, np.int64(9), "9")]
    freqcache.build(items, tmp_path / "out.zarr", freqcache.BuildOptions(shuffle=False), workers=1, quiet=True)
    store = freqcache.open(tmp_path / "out.zarr")
    assert store.classes == ("9", "10")
    assert list(store["all"].labels) == [1, 0, 0]
    assert [store["all"].source_path(i) for i in range(3)] == ["000000000", "000000001", "000000002"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "the iterable is empty"),
        (3, "expected a path or an iterable of freqcache.Item, found int"),
        (b"bytes", "item 0: expected a freqcache.Item, found int"),
        ([(JPEG, "a")], "item 0: expected a freqcache.Item, found tuple"),
        ([freqcache.Item(data="photo.jpg", label="a")], "item 0: data: expected the bytes of an image file, found str"),  # type: ignore[arg-type]
        ([freqcache.Item(data=JPEG, label=True)], "item 0: label: .* found True"),
        ([freqcache.Item(data=JPEG, label=1.5)], "item 0: label: .* found 1.5"),  # type: ignore[arg-type]
        ([freqcache.Item(data=JPEG, label=" ")], "item 0: label: .* found an empty one"),
        ([freqcache.Item(data=JPEG, label="a", name="")], "item 0: name: expected some text"),
        ([freqcache.Item(data=JPEG, label="a", split="dev")], "item 0: unknown split 'dev'"),
        ([freqcache.Item(data=JPEG, label="a", name="x")] * 2, "item 1: the name 'x' is that of an item before"),
        (
            [freqcache.Item(data=JPEG, label="a", split="val"), freqcache.Item(data=JPEG, label="a")],
            "item 1: some items have a split and others have none",
        ),
    ],
)
def test_what_is_no_item_is_said(items: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=message):
        freqcache.build(items, tmp_path / "out.zarr", workers=1, quiet=True)
    assert left(tmp_path) == []


def test_items_that_are_no_images_say_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="items: none of its 1 files could be used; the first: 000000000: "):
        freqcache.build([freqcache.Item(data=b"x", label="a")], tmp_path / "out.zarr", workers=1, quiet=True)
    assert left(tmp_path) == ["out.zarr.ledger.jsonl"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_an_iterable_raises_is_passed_on(folder: Path, tmp_path: Path, error: type[BaseException]) -> None:
    def broken() -> Iterator[freqcache.Item]:
        yield next(items_of(folder))
        raise error

    with pytest.raises(error):
        freqcache.build(broken(), tmp_path / "out.zarr", workers=1, quiet=True)
    assert left(tmp_path) == []


def test_a_store_that_stands_there_is_found_before_anything_is_consumed(store: Path, tmp_path: Path) -> None:
    def untouched() -> Iterator[freqcache.Item]:
        pytest.fail("consumed")
        yield

    with pytest.raises(BuildError, match="exists and is complete"):
        freqcache.build(untouched(), store, workers=1, quiet=True)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(BuildError, match="is not a freqcache store"):
        freqcache.build(untouched(), tmp_path / "file", workers=1, quiet=True)


def test_an_interrupted_build_goes_on_with_the_same_items_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(name, value)
    out, whole, real = tmp_path / "out.zarr", tmp_path / "whole.zarr", making.build_shard
    freqcache.build(items_of(folder), whole, workers=1, quiet=True)
    done = []

    def interrupted(task: Any) -> int:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task)
        return real(task)

    with monkeypatch.context() as patch:
        patch.setattr(making, "build_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            freqcache.build(items_of(folder), out, workers=1, quiet=True)
    assert left(tmp_path) == ["out.zarr", "whole.zarr"]
    others = [freqcache.Item(data=item.data + b"\0", label=item.label, split=item.split) for item in items_of(folder)]
    with pytest.raises(BuildError, match="holds an unfinished build of other files"):
        freqcache.build(others, out, workers=1, quiet=True)
    report = freqcache.build(items_of(folder), out, workers=1, quiet=True)
    assert report.n_resumed == 2
    assert freqcache.open(out).id == freqcache.open(whole).id
    assert content(out) == content(whole)


def test_a_spool_that_a_killed_build_left_is_begun_again(folder: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "out.zarr.spool.partial").write_bytes(bytes(1_000_000))
    out, options = tmp_path / "out.zarr", freqcache.BuildOptions(shuffle=False)
    freqcache.build(items_of(folder), out, options, workers=1, quiet=True)
    assert content(out) == content(store)
    assert left(tmp_path) == ["out.zarr"]


def test_two_builds_do_not_share_a_spool(folder: Path, tmp_path: Path) -> None:
    with Spool(tmp_path / "out.zarr") as spool:
        spool.append(b"x")
        with pytest.raises(BuildError, match="another build is writing this store"):
            freqcache.build(items_of(folder), tmp_path / "out.zarr", workers=1, quiet=True)
        assert left(tmp_path) == ["out.zarr.spool.partial"]
    assert left(tmp_path) == []


def test_a_full_disk_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = r"spool.partial: .* No space left on device; it needs as much space as all"
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(Spool, "_begin", lambda self: full)
        with pytest.raises(BuildError, match=message):
            freqcache.build(items_of(folder), tmp_path / "out.zarr", workers=1, quiet=True)

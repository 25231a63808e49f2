"""Samples by slot, by path and by the end of a path: one rule, whoever asks and however many are asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from photographs import encoded

import freqcache
from freqcache.errors import StoreError
from freqcache.exporting import export_jpegs, to_jpeg
from freqcache.plotting.stored import read_sample
from freqcache.rewriting import Selection, subset
from freqcache.store import finding
from freqcache.store.finding import as_slot, find_slot, find_slots
from freqcache_cli.main import main

IMAGE, LARGE = encoded(3, 24, 16, quality=80), encoded(99, 64, 48, quality=85)
NAMES = ["a/x.jpg", "b/x.jpg", "b/x.jpg.jpg", "x.jpg", "b/x/y.jpg", None, "caf\udce9/odd \n.jpg", "-x.jpg"]
"""Of the items, in order; the one without a name is 000000005."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finding") / "items.zarr"
    items = [freqcache.Item(data=IMAGE, label="ant", name=name) for name in NAMES]
    freqcache.build(items, out, freqcache.BuildOptions(shuffle=False), workers=1, quiet=True)
    return out


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits with a file of the same end in each, and one that fails."""
    out = tmp_path_factory.mktemp("finding") / "splits.zarr"
    items = [
        freqcache.Item(
            data=IMAGE if name != "cut.jpg" else LARGE[: len(LARGE) // 2],
            label="ant",
            split=split,
            name=f"{split}/{name}",
        )
        for split in ("train", "val")
        for name in ("1.jpg", "cut.jpg")
    ]
    freqcache.build(items, out, freqcache.BuildOptions(shuffle=False), workers=1, quiet=True)
    return out


@pytest.mark.parametrize(
    ("word", "slot"),
    [
        *[("0", 0), ("17", 17), ("017", None), ("000000003", None), ("", None), ("-1", None), ("1 ", None)],
        *[("٣", None), ("9" * 18, 10**18 - 1), ("9" * 5000, None)],
    ],
)
def test_numbers_without_leading_zeros_are_slots(word: str, slot: int | None) -> None:
    assert as_slot(word) == slot


@pytest.mark.parametrize("few", [0, 100], ids=["many words", "few words"])
@pytest.mark.parametrize(
    ("word", "slot"),
    [
        ("a/x.jpg", 0),
        ("x.jpg", 3),  # a whole path before ends of others
        ("x.jpg.jpg", 2),
        ("x/y.jpg", 4),
        ("y.jpg", 4),
        ("000000005", 5),
        ("5", 5),
        (5, 5),
        ("odd \n.jpg", 6),
        ("caf\udce9/odd \n.jpg", 6),
        ("-x.jpg", 7),
    ],
)
def test_what_is_found(path: Path, word: Any, slot: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_FEW", few)
    assert find_slot(freqcache.open(path), word) == ("all", slot)


@pytest.mark.parametrize("few", [0, 100], ids=["many words", "few words"])
@pytest.mark.parametrize("word", ["", "/x.jpg", ".jpg", "a/", "a", "a/x.jp", "5.jpg", "00000005"])
def test_what_is_not_found(path: Path, word: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_FEW", few)
    with pytest.raises(StoreError, match=re.escape(f"no sample of the source path {word!r}")):
        find_slot(freqcache.open(path), word)


def test_ranges_and_repetitions(path: Path) -> None:
    found = find_slots(freqcache.open(path), [range(1, 3), "x.jpg", 2, "2", range(0)])
    assert {name: slots.tolist() for name, slots in found.items()} == {"all": [1, 2, 3]}
    with pytest.raises(StoreError, match="there is no slot 8; there are 0 to 7"):
        find_slots(freqcache.open(path), [range(3, 9)])
    with pytest.raises(StoreError, match="there is no slot -1"):
        find_slots(freqcache.open(path), [-1])


def test_splits(splits: Path) -> None:
    store = freqcache.open(splits)
    assert find_slot(store, "val/1.jpg") == ("val", 0)
    assert find_slot(store, "1.jpg", "val") == find_slot(store, 0, "val") == ("val", 0)
    with pytest.raises(StoreError, match=r"2 samples come from files called '1.jpg': train 0 \(train/1.jpg\), val 0"):
        find_slot(store, "1.jpg")
    with pytest.raises(StoreError, match=r"slots are numbered in each split \(train, val\): say which"):
        find_slot(store, 0)
    for word in (1, "train/cut.jpg"):
        with pytest.raises(StoreError, match=r"slot 1 is absent: train/cut.jpg failed during the build"):
            find_slot(store, word, "train")


@pytest.mark.parametrize("word", ["y.jpg", "000000005", "4", "gone.jpg", "99"])
def test_all_commands_find_the_same(path: Path, tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text(f"{word}\r\n\n")
    found: list[str] = []
    for arguments in (
        ["decode", str(path), word, str(tmp_path / "a.jpg")],
        ["export", str(path), str(tmp_path / "one"), "--samples", word, "--workers", "1", "-q"],
        ["export", str(path), str(tmp_path / "two"), "--samples", f"@{tmp_path}/list.txt", "--workers", "1", "-q"],
        [
            "subset",
            str(path),
            str(tmp_path / "s.zarr"),
            "--samples",
            str(tmp_path / "list.txt"),
            "--workers",
            "1",
            "-q",
        ],
        ["plot", "tiles", str(path), word, "-o", str(tmp_path / "a.png")],
    ):
        status = main(arguments)
        error = capsys.readouterr().err
        found.append(error.partition("error: ")[2] if status else "")
        assert status == (1 if word in ("gone.jpg", "99") else 0), error
    assert len(set(found)) == 1


def test_all_functions_find_the_same(path: Path, tmp_path: Path) -> None:
    slot = 4
    assert read_sample(str(path), "y.jpg").slot == read_sample(str(path), slot).slot == slot
    assert to_jpeg(path, "y.jpg") == to_jpeg(path, slot)
    assert export_jpegs(path, tmp_path / "out", samples=["y.jpg", slot], workers=1, quiet=True).n_files == 1
    assert subset(path, tmp_path / "s.zarr", Selection(samples=("y.jpg", "4")), workers=1, quiet=True).n_samples == 1


@pytest.mark.parametrize("command", [["decode"], ["export"], ["subset"], ["plot", "tiles"], ["plot", "reconstruction"]])
def test_helps_use_the_same_words(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(r"slots? ?.*source paths? or the ends? of (one|some)", shown)
    assert "where there are several" in shown

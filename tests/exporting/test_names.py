"""Paths of exported files: below the folder whatever a cache says, each once, and the same for every selection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqcache.exporting import names
from freqcache.exporting.names import FileNames


def split(paths: list[str], *, name: str = "train", classes: tuple[str, ...] = ("ant", "bee"), labels=None) -> Any:
    labels = np.zeros(len(paths), int) if labels is None else np.array(labels)
    return SimpleNamespace(
        name=name, classes=classes, labels=labels, slots=np.arange(len(paths)), source_path=lambda slot: paths[slot]
    )


def file_names(source: Any) -> dict[int, str]:
    found = FileNames(source)
    return {slot: found.of(slot) for slot in source.slots.tolist()}


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        ("train/ant/a.jpg", "train/ant/a.jpg"),
        ("Train/ant/deeper/a.JPEG", "Train/ant/deeper/a.JPEG"),
        ("train/ant/a.png", "train/ant/a.png.jpg"),
        ("train/bee/a.jpg", "train/ant/a.jpg"),
        ("val/ant/a.jpg", "train/ant/a.jpg"),
        ("a.jpg", "train/ant/a.jpg"),
        ("ant/a.jpg", "train/ant/a.jpg"),
        ("shard-0.tar/00001.jpg", "train/ant/00001.jpg"),
        ("/etc/passwd", "train/ant/passwd.jpg"),
        ("train/ant/../../../../x.jpg", "train/ant/x.jpg"),
        ("train/ant/..", "train/ant/slot0.jpg"),
        ("train/ant/", "train/ant/slot0.jpg"),
        ("train/ant/a\0b.jpg", "train/ant/slot0.jpg"),
        ("train/ant\\..\\x.jpg", "train/ant/slot0.jpg"),
        ("train/ant/.hidden.jpg", "train/ant/_.hidden.jpg"),
        ("train/ant/caf\udce9.jpg", "train/ant/caf\udce9.jpg"),
    ],
)
def test_one(recorded: str, name: str) -> None:
    assert file_names(split([recorded])) == {0: name}


def test_without_splits() -> None:
    assert file_names(split(["ant/a.jpg"], name="all")) == {0: "ant/a.jpg"}


def test_a_class_that_is_no_folder() -> None:
    assert file_names(split(["x.jpg"], classes=("../..",))) == {0: "train/class-0/x.jpg"}


def test_collisions_are_told_apart_and_recorded_names_win() -> None:
    paths = ["train/ant/a.png", "train/ant/a.png.jpg", "other/a.png.jpg"]
    assert file_names(split(paths)) == {
        0: "train/ant/a.png-slot0.jpg",
        1: "train/ant/a.png.jpg",
        2: "train/ant/a.png-slot2.jpg",
    }


def test_long_names_are_cut() -> None:
    names = file_names(split(["train/ant/" + "x" * 251 + ".png", "train/ant/" + "x" * 251 + ".bmp"]))
    assert len(set(names.values())) == 2
    assert all(len(name.rpartition("/")[2]) <= 255 for name in names.values())


parts = st.sampled_from(["train", "ant", "bee", "..", ".", "", "a.jpg", "b.png", "a.png", "\0", "a.png.jpg", ".x"])


@given(st.lists(st.lists(parts, min_size=1, max_size=5).map("/".join), min_size=1, max_size=8))
def test_any_paths(paths: list[str]) -> None:
    names = file_names(split(paths))
    assert len(set(names.values())) == len(paths)
    for name in names.values():
        assert name.startswith("train/ant/")
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\0" not in name
        assert name.lower().endswith((".jpg", ".jpeg"))


def test_a_name_that_was_changed_takes_no_other_slots_name() -> None:
    paths = ["other/a.jpg", "train/ant/a.jpg", "train/ant/a-slot0.jpg", "train/ant/a-slot0-.jpg"]
    assert file_names(split(paths))[0] == "train/ant/a-slot0--.jpg"


def test_paths_of_one_digest_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_digest", lambda path: len(path) // 6)
    paths = [f"train/ant/{i}.jpg" for i in range(12)]
    assert len(set(file_names(split(paths)).values())) == len(paths)

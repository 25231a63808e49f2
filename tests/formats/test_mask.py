"""Masks: presets, the file, and that the hand-written validation agrees with the JSON schema."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqcache_formats import ALL_CHANNELS, Channel, ChannelMask, MaskError
from freqcache_formats.mask import CacheReference, preset_names

SCHEMA = json.loads((files("freqcache_formats") / "schemas" / "mask.schema.json").read_text())
SIZES = {
    "6": 6,
    "24": 24,
    "24-learned": 24,
    "32": 32,
    "48": 48,
    "64": 64,
    "192": 192,
    "24-square": 24,
    "all": 192,
}

masks = st.sets(st.integers(0, 191), min_size=1).map(ChannelMask.from_indices)


def test_presets_have_the_published_sizes() -> None:
    assert {name: len(ChannelMask.preset(name)) for name in preset_names()} == SIZES


def test_square_preset_is_the_published_list() -> None:
    natural = sorted(ChannelMask.preset("24").natural_indices.tolist())
    assert natural == [
        0,
        1,
        2,
        3,
        8,
        9,
        10,
        11,
        16,
        17,
        18,
        19,
        24,
        25,
        26,
        27,
        64,
        65,
        72,
        73,
        128,
        129,
        136,
        137,
    ]


@given(masks)
def test_file_keeps_the_mask(tmp_path_factory: pytest.TempPathFactory, mask: ChannelMask) -> None:
    path = tmp_path_factory.mktemp("mask") / "mask.json"
    mask.write(path)
    assert ChannelMask.read(path) == mask
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)


@given(masks)
def test_frequencies_are_the_indices_by_component(mask: ChannelMask) -> None:
    joined = np.concatenate([64 * c + frequencies for c, frequencies in enumerate(mask.frequencies)])
    np.testing.assert_array_equal(joined, mask.indices)


def test_order_and_repetition_do_not_matter() -> None:
    channels = [Channel("Cr", 0, 0), Channel("Y", 1, 0), Channel("Y", 0, 1), Channel("Y", 1, 0)]
    assert ChannelMask.of(channels) == ChannelMask.of(reversed(channels))
    assert [str(channel) for channel in ChannelMask.of(channels).channels] == ["Y(0,1)", "Y(1,0)", "Cr(0,0)"]


def test_provenance_survives_the_file(tmp_path: Path) -> None:
    mask = ChannelMask.from_indices(
        [3, 70], name="two", cache=CacheReference(path="/x.zarr", id="ab"), selection={"method": "test"}
    )
    mask.write(tmp_path / "mask.json")
    assert ChannelMask.read(tmp_path / "mask.json") == mask


def _edited(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(ChannelMask.preset("6").to_dict())
    document.update(changes)
    return {key: value for key, value in document.items() if value != "REMOVE"}


INVALID = {
    "another format": _edited(format="mask"),
    "a later version": _edited(version=2),
    "no version": _edited(version="REMOVE"),
    "no name": _edited(name=None),
    "no channels": _edited(channels="REMOVE"),
    "empty": _edited(channels=[]),
    "a number for a channel": _edited(channels=[3]),
    "unknown component": _edited(channels=[["R", 0, 0]]),
    "frequency 8": _edited(channels=[["Y", 0, 8]]),
    "frequency as text": _edited(channels=[["Y", "0", 0]]),
    "four entries": _edited(channels=[["Y", 0, 0, 0]]),
    "listed twice": _edited(channels=[["Y", 0, 0], ["Y", 0, 0]]),
    "cache without id": _edited(cache={"path": "x"}),
    "no cache": _edited(cache="REMOVE"),
    "selection is a list": _edited(selection=[]),
    "a list": [],
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_documents_are_refused_by_schema_and_reader(name: str) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(INVALID[name])
    with pytest.raises(MaskError, match="not a valid mask"):
        ChannelMask.from_dict(INVALID[name])


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(MaskError, match=r"format.*version.*channels\[0\]"):
        ChannelMask.from_dict(_edited(format="x", version=9, channels=[["R", 0, 0]]))


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_unreadable_files_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(MaskError, match=str(path)):
        ChannelMask.read(path)


def test_a_missing_file_lists_the_presets(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="24-learned"):
        ChannelMask.load(str(tmp_path / "23"))
    with pytest.raises(MaskError, match="24-learned"):
        ChannelMask.preset("23")


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(MaskError, match="empty"):
        ChannelMask.of([])


def test_all_is_every_channel() -> None:
    assert ChannelMask.load("all").channels == ALL_CHANNELS

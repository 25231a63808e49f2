"""What zarr-python reads of a store, sample by sample: the oracle of every rewrite. Nothing of freqcache is used."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

CONFORMANCE = Path(__file__).resolve().parents[2] / "formats" / "v1" / "conformance"
sys.path.insert(0, str(CONFORMANCE))

from check import channel_table, check_store  # noqa: E402

PER_SAMPLE = (
    "width",
    "height",
    "source_width",
    "source_height",
    "sampling",
    "orientation",
    "origin",
    "source_bytes",
    "source_digest",
    "blocks",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadSample:
    """One sample: its class by name, all that is recorded of it, its integers and steps by channel."""

    path: str
    class_name: str
    values: dict[str, Any]
    planes: dict[int, npt.NDArray[Any]]
    steps: dict[int, float]


def attributes(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store / "zarr.json").read_text())["attributes"]["freqcache"]
    return found


@lru_cache(maxsize=8)
def read(store: Path) -> dict[str, list[ReadSample]]:
    """Return the samples of each split in the order of the slots, after the checker has passed the store.

    A store of one path is read once.
    """
    assert check_store(store) == []
    root = attributes(store)
    table = channel_table()
    stored = [table.index(channel) for channel in root["channels"]]
    return {split: _split(zarr.open_group(store / split, mode="r"), root, stored) for split in root["splits"]}


def _split(group: Any, root: dict[str, Any], stored: list[int]) -> list[ReadSample]:
    arrays = {name: group[name][...] for name in group.array_keys()}
    ends, blob = arrays["source_path_offset"], arrays["source_path"].tobytes()
    samples = []
    for slot in np.flatnonzero(arrays["origin"] != 255):
        planes, steps = {}, {}
        for row, channel in enumerate(stored):
            component, frequency = divmod(channel, 64)
            if root["kind"] == "fixed":
                planes[channel] = arrays["coefficients"][slot, row]
                steps[channel] = float(arrays["quantization"][row])
                continue
            row -= sum(index < 64 * component for index in stored)
            rows, columns = arrays["blocks"][slot, component]
            steps[channel] = float(arrays["quantization"][slot, component, frequency])
            if rows * columns:
                start = arrays["offset"][slot, component]
                column = arrays[("y", "cb", "cr")[component]]
                planes[channel] = column[row, start : start + rows * columns].reshape(rows, columns)
        samples.append(
            ReadSample(
                path=blob[ends[slot] : ends[slot + 1]].decode(),
                class_name=root["classes"][arrays["label"][slot]],
                values={name: arrays[name][slot] for name in PER_SAMPLE if name in arrays},
                planes=planes,
                steps=steps,
            )
        )
    return samples


def assert_equal(found: list[ReadSample], expected: list[ReadSample], channels: set[int] | None = None) -> None:
    """Compare samples in order, in these channels or in all."""
    assert [sample.path for sample in found] == [sample.path for sample in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.class_name == b.class_name
        for name, value in b.values.items():
            np.testing.assert_array_equal(a.values[name], value, err_msg=name)
        wanted = set(b.planes) if channels is None else set(b.planes) & channels
        assert set(a.planes) == wanted
        for channel in wanted:
            assert a.planes[channel].dtype == b.planes[channel].dtype
            np.testing.assert_array_equal(a.planes[channel], b.planes[channel])
            assert a.steps[channel] == b.steps[channel]

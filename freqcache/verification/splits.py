"""Reads a split but for its coefficients: attributes, the forms of its arrays, and the values of the small ones.

Every chunk of every small array is decoded. What values say of each other is :mod:`freqcache.verification.values`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.errors import StoreError
from freqcache.store.arrays import empty, open_array
from freqcache.store.columns import ArrayGeometry, read_geometry
from freqcache.verification.documents import Documents, array_problems, coefficient_problems, group_problems
from freqcache.verification.findings import Findings, SampleName
from freqcache.verification.metadata import check_keys
from freqcache_formats.channels import ALL_CHANNELS
from freqcache_formats.layout import (
    ATTRIBUTE,
    SPLIT_ARRAYS,
    ArrayLayout,
    Origin,
    array_rows,
    per_slot_arrays,
    small_arrays,
)
from freqcache_formats.metadata import STATISTICS


@dataclass(kw_only=True, eq=False)
class SplitData:
    """What is known of a split; what could not be read is not there.

    Attributes
    ----------
    name, kind : str
        Of the split; of the store.
    classes : tuple of str
        Names by label.
    channels : (channels,) intp
        Storage indices of the channels that the store holds, increasing.
    slots, samples : int
        Of the attributes.
    statistics : dict of str to (channels,) float64
        Of the attributes; empty where they are malformed.
    arrays : dict of str to array
        The small arrays, by name.
    geometries : dict of str to ArrayGeometry
        The coefficient arrays, by name.
    first_slot : int
        Number of the first slot, where these are not all.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    channels: npt.NDArray[np.intp]
    slots: int
    samples: int
    statistics: dict[str, npt.NDArray[np.float64]]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    geometries: dict[str, ArrayGeometry] = field(default_factory=dict)
    first_slot: int = 0

    @property
    def rows(self) -> dict[str, range]:
        """The coefficient arrays that there must be, and which of the channels each holds: places in `channels`."""
        return array_rows(self.kind, self.channels)

    @property
    def present(self) -> npt.NDArray[np.bool_] | None:
        """(slots,) bool; whether a slot holds a sample; None where that cannot be told."""
        return None if "origin" not in self.arrays else self.arrays["origin"] != Origin.ABSENT

    def part(self, first: int, last: int) -> SplitData:
        """Return the slots from `first` to before `last`, without the arrays that are of no slot."""
        per_slot = per_slot_arrays(self.kind)
        arrays = {name: v[first:last] if name in per_slot else v for name, v in self.arrays.items()}
        for name in SPLIT_ARRAYS:
            arrays.pop(name, None)
        ends, blob = self.arrays.get("source_path_offset"), self.arrays.get("source_path")
        if ends is not None and blob is not None:
            arrays["source_path_offset"] = ends[first : last + 1] - ends[first]
            arrays["source_path"] = blob[ends[first] : ends[last]]
        return replace(self, arrays=arrays, slots=last - first, first_slot=first)

    def path(self, slot: int) -> str:
        """Return the path of a slot's source file; an empty one where that cannot be read."""
        starts, blob = self.arrays.get("source_path_offset"), self.arrays.get("source_path")
        if starts is None or blob is None or not 0 <= starts[slot] <= starts[slot + 1] <= len(blob):
            return ""
        return blob[starts[slot] : starts[slot + 1]].tobytes().decode("utf-8", "surrogateescape")

    def name_samples(self, slots: npt.NDArray[np.intp] | list[int] | range) -> list[SampleName]:
        """Return some slots as people know them."""
        labels = self.arrays.get("label")
        names = []
        for slot in map(int, slots):
            label = -1 if labels is None else int(labels[slot])
            class_name = self.classes[label] if 0 <= label < len(self.classes) else ""
            number = self.first_slot + slot
            names.append(SampleName(split=self.name, slot=number, path=self.path(slot), class_name=class_name))
        return names


def read_split(
    documents: Documents, root: Mapping[str, Any], name: str, channels: npt.NDArray[np.intp]
) -> SplitData | None:
    """Read one split of a store.

    Parameters
    ----------
    documents : Documents
        Of the store.
    root : dict
        The attributes of the root, which are sound.
    name : str
        Of the split.
    channels : (channels,) intp
        Storage indices of the channels that the store holds.

    Returns
    -------
    SplitData or None
        None where not even the number of slots is known.
    """
    findings, file = documents.findings, f"{name}/zarr.json"
    document = documents.read(name, "split-missing")
    if document is None:
        return None
    documents.report(name, group_problems(document))
    attributes = document.get("attributes")
    attributes = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    if not isinstance(attributes, dict):
        return None
    check_keys(findings, file, attributes, "split.schema.json")
    slots, samples = attributes.get("slots"), attributes.get("samples")
    if type(slots) is not int or type(samples) is not int or not 0 <= samples <= slots:
        findings.add("samples", file, f"slots, samples: found {slots!r}, {samples!r}")
        return None
    split = SplitData(
        name=name,
        kind=root["kind"],
        classes=tuple(root["classes"]),
        channels=channels,
        slots=slots,
        samples=samples,
        statistics=_statistics(findings, file, attributes.get("statistics"), len(channels)),
    )
    per_slot = per_slot_arrays(split.kind)
    for array, layout in small_arrays(split.kind).items():
        length = slots if array in per_slot else -1
        if split.kind == "fixed" and array == "quantization":
            length = len(channels)
        values = read_small(documents, f"{name}/{array}", layout, length)
        if values is not None:
            split.arrays[array] = values
    for array, rows in split.rows.items():
        geometry = _geometry(documents, f"{name}/{array}", split, len(rows))
        if geometry is not None:
            split.geometries[array] = geometry
            documents.expected.update(f"{name}/{array}/{geometry.shard_key(i)}" for i in range(geometry.n_shards))
    if len({geometry.groups_per_shard for geometry in split.geometries.values()}) > 1:
        findings.add("shape", name, "the columns have different numbers of row groups in a shard")
        split.geometries.clear()
    return split


def read_small(documents: Documents, key: str, layout: ArrayLayout, length: int) -> npt.NDArray[Any] | None:
    """Return a small array, every chunk of it decoded; note what is wrong, and return None if a chunk is.

    Parameters
    ----------
    documents : Documents
        Of the store.
    key : str
        Path of the array.
    layout : ArrayLayout
        What it must be.
    length : int
        Of its first axis; -1 for any.
    """
    document = documents.read(key, "array-missing")
    if document is None:
        return None
    findings, place = documents.findings, documents.place / key
    documents.report(key, array_problems(document, layout.dtype, layout.dimensions, ["zstd", "crc32c"]))
    try:
        array = open_array(place, layout.dtype, (length, *layout.shape))
        values = empty(array)
    except StoreError as error:
        findings.add("shape", f"{key}/zarr.json", str(error).removeprefix(f"{place}: "))
        return None
    sound = True
    for chunk in array.chunk_keys():
        documents.expected.add(f"{key}/{chunk}")
        try:
            stored = place.read(chunk)
        except StoreError as error:
            findings.add("chunk-missing", f"{key}/{chunk}", str(error).removeprefix(f"{place}/{chunk}: "))
            sound = False
            continue
        findings.counts.files += 1
        findings.counts.bytes += len(stored)
        findings.counts.chunks += 1
        try:
            array.decode(chunk, stored, values)
        except StoreError as error:
            findings.add("unreadable", f"{key}/{chunk}", str(error).removeprefix(f"{place}/{chunk}: "))
            sound = False
    return values if sound else None


def _statistics(findings: Findings, file: str, found: object, n_channels: int) -> dict[str, npt.NDArray[np.float64]]:
    if not isinstance(found, dict):
        findings.add("statistics", file, "statistics: expected an object")
        return {}
    values = {}
    for name in STATISTICS:
        numbers = found.get(name)
        sound = isinstance(numbers, list) and len(numbers) == n_channels
        if not sound or not all(type(number) in {int, float} for number in numbers or ()):
            findings.add("statistics", file, f"statistics.{name}: expected {n_channels} numbers")
            continue
        values[name] = np.array(numbers, dtype=np.float64)
    for name in sorted(found.keys() - set(STATISTICS)):
        findings.add("statistics", file, f"statistics.{name}: none that there is")
    return values if len(values) == len(STATISTICS) else {}


def _geometry(documents: Documents, key: str, split: SplitData, rows: int) -> ArrayGeometry | None:
    """Return the form of a coefficient array; note what is wrong, and return None if too much is."""
    document = documents.read(key, "array-missing")
    if document is None:
        return None
    place = documents.place / key
    try:
        geometry, _ = read_geometry(place)
    except StoreError as error:
        documents.findings.add("shape", f"{key}/zarr.json", str(error).removeprefix(f"{place}: "))
        return None
    problems = coefficient_problems(document, split.kind, rows, split.slots)
    documents.report(key, problems)
    return None if {"dtype", "shape", "codecs", "index"} & {kind for kind, _ in problems} else geometry


def held_channels(table: object) -> npt.NDArray[np.intp]:
    """Return the storage indices of the root's channel table, which is sound."""
    listed = {tuple(entry) for entry in table} if isinstance(table, list) else set()
    return np.array([i for i, channel in enumerate(ALL_CHANNELS) if tuple(channel) in listed], dtype=np.intp)

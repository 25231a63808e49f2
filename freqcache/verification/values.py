"""What the per-sample values of a split must say of each other.

Sources: ``formats/v1/spec.md``, sections 2, 5, 6; ITU-T T.81 A.1.1 for block grids and B.2.2 for sampling factors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from freqcache.extraction import component_grids
from freqcache.verification.findings import Findings
from freqcache.verification.splits import SplitData
from freqcache_formats.layout import COLUMNS, ROW_GROUP_SAMPLES, Origin

_LARGEST_FACTOR = 4
_NAMED = 5
"""Slots that a message names; all of them are among the finding's samples."""

Bools = npt.NDArray[np.bool_]


def check_values(findings: Findings, split: SplitData) -> None:
    """Check everything that the small arrays say, as far as they could be read."""
    present = split.present
    if present is not None:
        if int(present.sum()) != split.samples:
            message = f"samples: says {split.samples}, but {int(present.sum())} slots are not absent"
            findings.add("samples", f"{split.name}/zarr.json", message)
        _check_labels_and_pixels(findings, split, present)
        _check_sampling(findings, split, present)
    _check_paths(findings, split)
    _check_row_groups(findings, split)
    if split.kind == "native" and present is not None:
        _check_grids(findings, split, present)
        _check_places(findings, split, present)
    steps = split.arrays.get("quantization")
    if split.kind == "fixed" and steps is not None and not (np.isfinite(steps) & (steps > 0)).all():
        findings.add("quantization", f"{split.name}/quantization", "expected positive steps")


def row_groups(split: SplitData) -> npt.NDArray[np.int64] | None:
    """Return the first slot of each row group, and the number of slots; None where that is not known."""
    if split.kind == "fixed":
        return np.array([*range(0, split.slots, ROW_GROUP_SAMPLES), split.slots], dtype=np.int64)
    starts = split.arrays.get("row_group_start")
    if starts is None or len(starts) < 1 or starts[0] != 0 or starts[-1] != split.slots or (np.diff(starts) <= 0).any():
        return None
    return starts


def _fault(findings: Findings, split: SplitData, array: str, kind: str, bad: Bools, expected: str) -> None:
    """Note the slots that fail a test, in one finding."""
    slots = np.flatnonzero(bad)
    if not len(slots):
        return
    values = split.arrays[array]
    named = [f"slot {slot}: found {values[slot].tolist()}" for slot in slots[:_NAMED]]
    more = f" and {len(slots) - _NAMED} slots more" if len(slots) > _NAMED else ""
    reason = f"expected {expected}; {', '.join(named)}{more}"
    findings.add(kind, f"{split.name}/{array}", reason, split.name_samples(slots))


def _check_labels_and_pixels(findings: Findings, split: SplitData, present: Bools) -> None:
    values, n_classes = split.arrays, len(split.classes)
    origins = [int(origin) for origin in Origin]
    _fault(findings, split, "origin", "origin", ~np.isin(values["origin"], origins), "0, 1, 2 or 255")
    if "label" in values:
        label = values["label"]
        wrong = present & ((label < 0) | (label >= n_classes))
        _fault(findings, split, "label", "label", wrong, f"a class, 0..{n_classes - 1}")
        _fault(findings, split, "label", "label", ~present & (label != -1), "-1, because the slot is absent")
    if "orientation" in values:
        wrong = present & ~np.isin(values["orientation"], range(1, 9))
        _fault(findings, split, "orientation", "orientation", wrong, "1..8")
    for name in ("width", "height", "source_width", "source_height", "source_bytes"):
        if name in values:
            _fault(findings, split, name, name, present & (values[name] <= 0), "a positive number")
    if {"width", "height", "source_width", "source_height", "orientation"} <= values.keys():
        stored = np.stack([values["width"], values["height"]], axis=1)
        source = np.stack([values["source_width"], values["source_height"]], axis=1)
        same, turned = np.all(stored == source, axis=1), np.all(stored == source[:, ::-1], axis=1)
        whole = same | (turned & (values["orientation"] >= 5))
        wrong = present & (values["origin"] == Origin.EXTRACTED) & ~whole
        _fault(findings, split, "width", "width", wrong, "an extracted sample as large as its source file")
        wrong = present & (stored.max(axis=1) > source.max(axis=1))
        _fault(findings, split, "width", "width", wrong, "a sample no larger than its source file")


def _check_sampling(findings: Findings, split: SplitData, present: Bools) -> None:
    if "sampling" not in split.arrays:
        return
    factors = split.arrays["sampling"]
    there: Bools = np.all((factors >= 1) & (factors <= _LARGEST_FACTOR), axis=2)
    none: Bools = np.all(factors == 0, axis=2)
    sound = there[:, 0] & ((there[:, 1] & there[:, 2]) | (none[:, 1] & none[:, 2]))
    expected = f"factors of 1..{_LARGEST_FACTOR}, and 0 for both chroma components of a gray image"
    _fault(findings, split, "sampling", "sampling", present & ~sound, expected)


def _check_paths(findings: Findings, split: SplitData) -> None:
    ends, blob = split.arrays.get("source_path_offset"), split.arrays.get("source_path")
    if ends is None or blob is None:
        return
    if len(ends) != split.slots + 1 or ends[0] != 0 or ends[-1] != len(blob) or (np.diff(ends) < 0).any():
        message = f"expected {split.slots + 1} offsets from 0 to {len(blob)} that never fall"
        findings.add("source-path", f"{split.name}/source_path_offset", message)
        del split.arrays["source_path_offset"]  # whatever names a sample would be misled


def _check_row_groups(findings: Findings, split: SplitData) -> None:
    starts = split.arrays.get("row_group_start")
    if starts is None:
        return
    known = row_groups(split)
    if known is None or not np.array_equal(starts, known):
        sixteens = " by sixteens" if split.kind == "fixed" else ""
        message = f"expected a list that rises from 0 to {split.slots}{sixteens}"
        findings.add("row-group", f"{split.name}/row_group_start", message)
        return
    for name, geometry in list(split.geometries.items()):
        if geometry.n_groups != len(known) - 1:
            message = f"shape {geometry.shape}: has {geometry.n_groups} row groups, the split {len(known) - 1}"
            findings.add("shape", f"{split.name}/{name}/zarr.json", message)
            del split.geometries[name]


def _check_grids(findings: Findings, split: SplitData, present: Bools) -> None:
    """Check that each block grid is that of its component in an image of this size, and that steps are there."""
    if not {"blocks", "sampling", "width", "height"} <= split.arrays.keys():
        return
    blocks = split.arrays["blocks"]
    pixels = np.stack([split.arrays["width"], split.arrays["height"]], axis=1)
    forms = np.concatenate([pixels, split.arrays["sampling"].reshape(-1, 2 * len(COLUMNS))], axis=1)
    kinds, which = np.unique(forms, axis=0, return_inverse=True)  # few, beside the samples
    grids = np.array([_grids(form) for form in kinds.tolist()], dtype=np.int64).reshape(-1, len(COLUMNS), 2)
    wrong = present & (blocks != grids[which.reshape(-1)]).any(axis=(1, 2))
    _fault(findings, split, "blocks", "blocks", wrong, "the block grids of its pixels and sampling factors")
    if "quantization" in split.arrays:
        steps, filled = split.arrays["quantization"], blocks.astype(np.int64).prod(axis=2) > 0
        wrong = present & (filled & (steps == 0).any(axis=2)).any(axis=1)
        slots = np.flatnonzero(wrong)
        if len(slots):
            message = f"a step of slot {slots[0]} is zero"
            findings.add("quantization", f"{split.name}/quantization", message, split.name_samples(slots))


def _grids(form: list[int]) -> list[tuple[int, int]]:
    """Return the block grids of the components: of width, height, and three pairs of factors."""
    factors = [(form[i], form[i + 1]) for i in range(2, len(form), 2)]
    there = tuple(pair for pair in factors if pair != (0, 0))
    sound = there and all(min(pair) > 0 for pair in there)
    grids = iter(component_grids(form[0], form[1], there) if sound else ())
    return [next(grids, (0, 0)) if pair != (0, 0) else (0, 0) for pair in factors]


def _check_places(findings: Findings, split: SplitData, present: Bools) -> None:
    """Check that every sample's blocks lie in the chunk of its row group, and that none overlap."""
    groups = row_groups(split)
    if groups is None or not {"offset", "blocks"} <= split.arrays.keys():
        return
    of_slot = np.repeat(np.arange(len(groups) - 1), np.diff(groups))
    sizes = split.arrays["blocks"].astype(np.int64).prod(axis=2)
    for name, geometry in split.geometries.items():
        component = COLUMNS.index(name)
        length = geometry.chunk[1]
        starts = split.arrays["offset"][:, component]
        counted = present & (sizes[:, component] > 0)
        inside = (starts >= of_slot * length) & (starts + sizes[:, component] <= (of_slot + 1) * length)
        expected = f"the blocks of {name} inside the chunk of their row group"
        _fault(findings, split, "offset", "place", counted & ~inside, expected)
        order = np.flatnonzero(counted & inside)
        order = order[np.argsort(starts[order], kind="stable")]
        ends = np.maximum.accumulate(starts[order] + sizes[order, component]) if len(order) else starts[:0]
        overlapping = np.zeros(split.slots, dtype=bool)
        overlapping[order[1:]] = starts[order][1:] < ends[:-1]
        _fault(findings, split, "offset", "place", overlapping, f"blocks of {name} that overlap no other sample's")


def placed(split: SplitData, name: str, slot: int, group: int) -> tuple[int, int] | None:
    """Return where in its row group's chunk a native sample lies, and its blocks; None if it does not lie inside."""
    component, length = COLUMNS.index(name), split.geometries[name].chunk[1]
    count = int(split.arrays["blocks"][slot, component].astype(np.int64).prod())
    start = int(split.arrays["offset"][slot, component]) - group * length
    return (start, count) if start >= 0 and count > 0 and start + count <= length else None

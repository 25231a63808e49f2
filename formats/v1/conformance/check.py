"""Checks a store against ``formats/v1/spec.md``: ``check.py STORE`` prints every problem and exits 0 (none) or 1.

Needs numpy and zarr-python only, and shares no code with freqcache: it is a second reading of the specification. It
checks attributes and per-sample arrays here and the coefficients in ``coefficients.py``. Every value of the store is
read once, one row group at a time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from coefficients import Layout, check_coefficients
from metadata import KEY, digest_of
from problems import Problem, Problems

MAJOR = "1"
ALL_CHANNELS_ONLY = "1.0"
STATISTICS = ("mean", "std", "std_of_means", "minimum", "maximum", "zero_fraction", "count")
ABSENT = 255
Arrays = dict[str, npt.NDArray[Any]]

PER_SAMPLE: dict[str, tuple[str, tuple[int, ...]]] = {
    "label": ("int64", ()),
    "width": ("int32", ()),
    "height": ("int32", ()),
    "source_width": ("int32", ()),
    "source_height": ("int32", ()),
    "sampling": ("uint8", (3, 2)),
    "orientation": ("uint8", ()),
    "origin": ("uint8", ()),
    "source_bytes": ("int64", ()),
    "source_digest": ("uint8", (16,)),
}
PER_NATIVE_SAMPLE: dict[str, tuple[str, tuple[int, ...]]] = {
    "offset": ("int64", (3,)),
    "blocks": ("int32", (3, 2)),
    "quantization": ("uint16", (3, 64)),
}


def channel_table() -> list[list[Any]]:
    """Return the 192 channels in storage order: components, then frequencies along the zigzag of T.81 figure A.6."""
    cells = [(v, u) for v in range(8) for u in range(8)]
    cells.sort(key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]))
    return [[component, v, u] for component in ("Y", "Cb", "Cr") for v, u in cells]


def stored_channels(table: object) -> list[int]:
    """Return the storage indices of a store's channel table; none for a table that is not some of the 192 in order."""
    every = channel_table()
    indices = [index for index, channel in enumerate(every) if isinstance(table, list) and channel in table]
    return indices if [every[index] for index in indices] == table else []


def check_store(store: Path) -> list[Problem]:
    """Return every problem of a store.

    Parameters
    ----------
    store : Path
        The folder.

    Returns
    -------
    list of Problem
        Empty for a valid store. A store of an unknown major version gives that one problem only.
    """
    problems = Problems(store)
    path = store / "zarr.json"
    document = problems.json(path, "root")
    attributes = _attribute(document)
    if attributes is None:
        if document is not None:
            problems.add(path, "root", 'expected a Zarr v3 group with an object "freqcache" in its attributes')
        return problems.found
    version = attributes.get("version")
    if not isinstance(version, str) or version.split(".")[0] != MAJOR:
        problems.add(path, "version", f"version: expected {MAJOR}.x, found {version!r}")
        return problems.found
    _check_root(problems, path, attributes)
    channels = stored_channels(attributes.get("channels"))
    kind, splits, classes = (attributes.get(key) for key in ("kind", "splits", "classes"))
    if channels and kind in ("native", "fixed") and isinstance(splits, list) and isinstance(classes, list):
        for split in splits:
            _check_split(problems, store / str(split), kind, len(classes), channels)
        _check_digest(problems, path, attributes)
    return problems.found


def _attribute(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None or document.get("zarr_format") != 3 or document.get("node_type") != "group":
        return None
    attributes = document.get("attributes", {}).get("freqcache")
    return attributes if isinstance(attributes, dict) else None


def _check_root(problems: Problems, path: Path, attributes: dict[str, Any]) -> None:
    """Check the root attributes: section 3."""
    expected = {
        "complete": True,
        "order": "zigzag",
        "block_size": 8,
        "level_shift": 128,
    }
    for key, value in expected.items():
        if attributes.get(key) != value:
            problems.add(path, key, f"{key}: expected {value!r}, found {attributes.get(key)!r}")
    channels = stored_channels(attributes.get("channels"))
    if not channels:
        problems.add(path, "channels", "channels: expected the 192 channels in storage order, or some of them")
    elif len(channels) < 192 and attributes.get("version") == ALL_CHANNELS_ONLY:
        problems.add(path, "channels", f"channels: 192 in version {ALL_CHANNELS_ONLY}, found {len(channels)}")
    if attributes.get("kind") not in ("native", "fixed"):
        problems.add(path, "kind", f"kind: expected native or fixed, found {attributes.get('kind')!r}")
    for key in ("splits", "classes"):
        names = attributes.get(key)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            problems.add(path, key, f"{key}: expected a list of names")
    for key in ("id", "creator", "dct", "color_space"):
        if not isinstance(attributes.get(key), str):
            problems.add(path, key, f"{key}: expected a string")
    if not isinstance(attributes.get("options"), dict):
        problems.add(path, "options", "options: expected an object")


def _check_digest(problems: Problems, path: Path, attributes: dict[str, Any]) -> None:
    """Check the digest of all metadata: section 8. A store of version 1.0 may have none."""
    if KEY not in attributes:
        if attributes["version"] != "1.0":
            problems.add(path, "metadata", f"{KEY}: missing")
        return
    try:
        found = digest_of(path.parent, attributes["kind"], attributes["splits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.add(path, "metadata", f"{KEY}: cannot be computed: {error!r}")
        return
    if attributes[KEY] != found:
        problems.add(path, "metadata", f"{KEY}: some zarr.json is not what was written")


def _check_split(problems: Problems, split: Path, kind: str, n_classes: int, channels: list[int]) -> None:
    """Check one split: sections 2, 4 and 5, then its coefficients."""
    document = problems.json(split / "zarr.json", "split-missing")
    attributes = _attribute(document)
    if attributes is None:
        if document is not None:
            problems.add(split / "zarr.json", "split-missing", 'expected a group with the attribute "freqcache"')
        return
    slots, samples = attributes.get("slots"), attributes.get("samples")
    if type(slots) is not int or type(samples) is not int or not 0 <= samples <= slots:
        problems.add(split / "zarr.json", "samples", f"slots, samples: found {slots!r}, {samples!r}")
        return
    statistics = _statistics(problems, split / "zarr.json", attributes.get("statistics"), len(channels))
    wanted = PER_SAMPLE | (PER_NATIVE_SAMPLE if kind == "native" else {})
    arrays: Arrays = {}
    for name, (dtype, shape) in wanted.items():
        values = problems.values(split / name, dtype, (slots, *shape))
        if values is not None:
            arrays[name] = values
    if kind == "fixed":
        steps = problems.values(split / "quantization", "float32", (len(channels),), ("channel",))
        if steps is not None:
            arrays["quantization"] = steps
    present = arrays.get("origin", np.zeros(slots, dtype=np.uint8)) != ABSENT
    if "origin" in arrays and present.sum() != samples:
        problems.add(split / "zarr.json", "samples", f"samples: says {samples}, but {present.sum()} are not absent")
    _check_values(problems, split, arrays, present, n_classes)
    _check_paths(problems, split, slots)
    starts = _row_groups(problems, split, slots, kind)
    if starts is not None and "origin" in arrays:
        layout = Layout(path=split, kind=kind, channels=channels, starts=starts, present=present, arrays=arrays)
        check_coefficients(problems, layout, statistics)


def _statistics(problems: Problems, path: Path, found: object, n_channels: int) -> Arrays | None:
    if not isinstance(found, dict):
        problems.add(path, "statistics", "statistics: expected an object")
        return None
    lists = {name: found.get(name) for name in STATISTICS}
    for name, values in lists.items():
        good = isinstance(values, list) and len(values) == n_channels
        if not good or not all(type(value) in (int, float) and np.isfinite(value) for value in values or ()):
            problems.add(path, "statistics", f"statistics.{name}: expected {n_channels} finite numbers")
            return None
    return {name: np.array(values, dtype=np.float64) for name, values in lists.items()}


def _check_values(
    problems: Problems, split: Path, arrays: Arrays, present: npt.NDArray[np.bool_], n_classes: int
) -> None:
    """Check the values of the per-sample arrays: each test gives the slots that fail it."""
    tests: list[tuple[str, str, npt.NDArray[np.bool_]]] = []
    if "label" in arrays:
        label = arrays["label"]
        tests.append(("label", f"a class, 0..{n_classes - 1}", present & ((label < 0) | (label >= n_classes))))
        tests.append(("label", "-1, because the slot is absent", ~present & (label != -1)))
    if "origin" in arrays:
        tests.append(("origin", "0, 1, 2 or 255", ~np.isin(arrays["origin"], (0, 1, 2, ABSENT))))
    if "orientation" in arrays:
        tests.append(("orientation", "1..8", present & ~np.isin(arrays["orientation"], range(1, 9))))
    pixels = {"width", "height", "source_width", "source_height"} & arrays.keys()
    tests += [(name, "a positive number", present & (arrays[name] <= 0)) for name in sorted(pixels)]
    for name, expected, bad in tests:
        for slot in np.flatnonzero(bad):
            found = arrays[name][slot]
            problems.add(split / name, name, f"slot {slot}: expected {expected}, found {found}")
    if arrays.get("quantization", np.ones(0)).ndim == 1 and not (arrays.get("quantization", np.ones(1)) > 0).all():
        problems.add(split / "quantization", "quantization", "expected positive steps")


def _check_paths(problems: Problems, split: Path, slots: int) -> None:
    blob = problems.values(split / "source_path", "uint8", (None,))
    ends = problems.values(split / "source_path_offset", "int64", (slots + 1,))
    if blob is None or ends is None:
        return
    if ends[0] != 0 or ends[-1] != len(blob) or (np.diff(ends) < 0).any():
        message = f"expected offsets from 0 to {len(blob)} that never fall, found {ends.tolist()}"
        problems.add(split / "source_path_offset", "source-path", message)


def _row_groups(problems: Problems, split: Path, slots: int, kind: str) -> npt.NDArray[np.int64] | None:
    """Return ``row_group_start`` if it partitions the slots (into sixteens, in a fixed store)."""
    starts = problems.values(split / "row_group_start", "int64", (None,))
    if starts is None:
        return None
    bad = len(starts) < 1 or starts[0] != 0 or starts[-1] != slots or (np.diff(starts) <= 0).any()
    if kind == "fixed" and not bad:
        bad = not np.array_equal(starts, [*range(0, slots, 16), slots])
    if bad:
        message = f"expected a rising list from 0 to {slots}, found {starts.tolist()}"
        problems.add(split / "row_group_start", "row-group", message)
        return None
    return starts


def main(arguments: list[str]) -> int:
    """Print the problems of the store named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: check.py STORE\n")
        return 2
    found = check_store(Path(arguments[0]))
    for problem in found:
        sys.stdout.write(f"{problem.location}: {problem.message} [{problem.kind}]\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

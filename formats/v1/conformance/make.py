"""Makes the example stores anew: ``make.py``, and by nothing else; the tests read what is committed.

The valid stores are built by freqcache from small generated images, with row groups and shards of a few samples; those
of version 1.0 are marked so, which is what they are, and those with few channels are repacked from one. Their
JSON is then written without indentation and their statistics with five digits, to keep them small. Every invalid store
is derived from a valid one by one function below, and kept as the files that it changed.
"""

from __future__ import annotations

import io
import json
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numcodecs
import numpy as np
import PIL
import zarr
from check import STATISTICS, check_store
from dump import dump_store
from examples import HERE
from faults import FAULTS, edit_json
from metadata import KEY, seal
from PIL import Image

import freqcache
from freqcache.building import plan
from freqcache.rewriting import repack
from freqcache_formats import ChannelMask

FIXED = freqcache.BuildOptions(size=16)
EXACT = freqcache.BuildOptions(size=16, exact=True)
NATIVE = freqcache.BuildOptions()
# (split/class, width, height, mode, subsampling as Pillow numbers it: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0)
COLOUR = [
    ("train/ant", 16, 16, "RGB", 2),
    ("train/ant", 24, 9, "RGB", 1),
    ("train/bee", 8, 16, "RGB", 0),
    ("train/bee", 17, 15, "RGB", 2),
]
DAMAGED = [("train/bee", 16, 16, "damaged", 0)]
SEALED = ("native-sealed", "native-24", "fixed-24")
"""Examples of this version, with a digest of their metadata; the others are as version 1.0 was, without it."""
GRAY = [("train/ant", 16, 8, "L", 0), ("train/bee", 8, 8, "RGB", 0)]
VALID: dict[str, tuple[str, list[tuple[str, int, int, str, int]], freqcache.BuildOptions]] = {
    "native-grayscale": ("one grayscale and one colour JPEG", GRAY, NATIVE),
    "native-sealed": ("as native-grayscale, with a digest of its metadata", GRAY, NATIVE),
    "native-absent": (
        "four colour JPEGs in three samplings and one that is cut off: its slot is absent; two row groups, two shards",
        COLOUR + DAMAGED,
        NATIVE,
    ),
    "fixed-int8": ("17 JPEGs: two row groups, the second almost empty", (COLOUR + GRAY) * 2 + COLOUR + GRAY[:1], FIXED),
    "fixed-int16-absent": (
        "a colour JPEG, a grayscale one, and one that is cut off: its slot is absent",
        [COLOUR[3], GRAY[0], *DAMAGED],
        EXACT,
    ),
}


LUMA_AND_CB = ChannelMask.from_indices([*range(20), *range(64, 68)])
REPACKED: dict[str, tuple[str, str, ChannelMask]] = {
    "native-24": (
        "native-absent with 20 channels of Y and 4 of Cb: no array cr; the absent slot is gone",
        "native-absent",
        LUMA_AND_CB,
    ),
    "fixed-24": ("fixed-int8 with the 24 channels of a square mask", "fixed-int8", ChannelMask.preset("24")),
}
"""Examples with some channels only: what they are, and what of."""


def write_image(path: Path, seed: int, width: int, height: int, mode: str, subsampling: int) -> None:
    """Write a generated JPEG: a slope with noise."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(30, 220, width)[None, :, None] + np.linspace(-25, 25, height)[:, None, None]
    pixels = np.clip(slope + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).convert("L" if mode == "L" else "RGB")
    image.save(buffer, "JPEG", quality=60, subsampling=subsampling)
    data = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-40] if mode == "damaged" else data)


def build_valid(name: str, out: Path, work: Path) -> None:
    """Build one valid store."""
    _, images, options = VALID[name]
    for number, (folder, width, height, mode, subsampling) in enumerate(images):
        write_image(work / name / folder / f"{number:02}.jpg", number, width, height, mode, subsampling)
    with mock.patch.object(plan, "ROW_GROUP_BLOCKS", 12), mock.patch.object(plan, "SHARD_SAMPLES", _shard(name)):
        freqcache.build(work / name, work / "out", options, workers=1, quiet=True)
    _settle(work / "out", out)


def repack_valid(name: str, valid: Path, work: Path) -> None:
    """Make one valid store of another, with some of its channels."""
    _, base, channels = REPACKED[name]
    with mock.patch.object(plan, "ROW_GROUP_BLOCKS", 12), mock.patch.object(plan, "SHARD_SAMPLES", _shard(base)):
        repack(valid / base, work / "out", channels=channels, workers=1, quiet=True)
    _settle(work / "out", valid / name)


def _settle(made: Path, out: Path) -> None:
    """Move a store to its place, make its JSON small, and mark it as of its version."""
    shutil.move(made, out)
    for path in sorted(out.rglob("zarr.json")):
        with edit_json(path) as document:
            statistics = document.get("attributes", {}).get("freqcache", {}).get("statistics", {})
            for key in STATISTICS if statistics else ():
                statistics[key] = [float(f"{value:.5g}") for value in statistics[key]]
    if out.name not in SEALED:
        with edit_json(out / "zarr.json") as document:
            attributes = document["attributes"]["freqcache"]
            attributes["version"] = "1.0"
            del attributes[KEY]
    seal(out)


def _shard(name: str) -> int:
    """Return the samples of a shard: two row groups in fixed-int8, which has one shard; one in all others."""
    return {"native-absent": 3, "fixed-int8": 32}.get(name, 16)


def derive(name: str, valid: Path, work: Path) -> dict[str, Any]:
    """Derive one invalid store; keep what differs from its base; return its entry in the manifest."""
    fault = FAULTS[name]
    base, changed = valid / fault.base, work / name
    shutil.copytree(base, changed)
    fault.apply(changed)
    if fault.base in SEALED and not fault.is_metadata:
        seal(changed)
    before, after = (set(_files(folder)) for folder in (base, changed))
    for path in sorted(after):
        if path not in before or (base / path).read_bytes() != (changed / path).read_bytes():
            target = HERE / "invalid" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(changed / path, target)
    kinds = sorted({problem.kind for problem in check_store(changed)})
    if kinds != sorted(fault.kinds):
        message = f"{name}: the checker finds {kinds}, expected {sorted(fault.kinds)}"
        raise SystemExit(message)
    entry = {"base": fault.base, "fault": fault.sentence, "kinds": kinds, "reader": fault.reader}
    return entry | {"removed": sorted(str(path) for path in before - after)}


def _files(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Make everything anew."""
    for folder in ("valid", "invalid"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    entries: dict[str, dict[str, Any]] = {"valid": {}, "invalid": {}}
    with tempfile.TemporaryDirectory() as temporary:
        for name, (sentence, _, _) in VALID.items():
            store = HERE / "valid" / name
            store.parent.mkdir(exist_ok=True)
            build_valid(name, store, Path(temporary))
            problems = check_store(store)
            if problems:
                raise SystemExit("\n".join(map(str, problems)))
            entries["valid"][name] = {"what": sentence, "dump": dump_store(store)}
        for name, (sentence, _, _) in REPACKED.items():
            repack_valid(name, HERE / "valid", Path(temporary))
            problems = check_store(HERE / "valid" / name)
            if problems:
                raise SystemExit("\n".join(map(str, problems)))
            entries["valid"][name] = {"what": sentence, "dump": dump_store(HERE / "valid" / name)}
        for name in FAULTS:
            entries["invalid"][name] = derive(name, HERE / "valid", Path(temporary))
    versions = {
        "freqcache": freqcache.__version__,
        "numcodecs": numcodecs.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "zarr": zarr.__version__,
    }
    made = {"command": "python formats/v1/conformance/make.py", "with": versions}
    lines = json.dumps({"made": made, **entries}, indent=1)
    (HERE / "manifest.json").write_text(_join_lists(lines) + "\n", encoding="utf-8")
    return 0


def _join_lists(text: str) -> str:
    """Put each list of plain values on one line."""
    return re.sub(
        r"\[[^\[\]{}]*\]", lambda match: re.sub(r"\s*\n\s*", " ", match[0]).replace("[ ", "[").replace(" ]", "]"), text
    )


if __name__ == "__main__":
    sys.exit(main())

"""Prints the canonical dump of a store with zarr-python alone: ``dump.py STORE``. The dump is defined in README.md.

A store with problems (``check.py``) is refused with exit code 1.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from check import check_store, stored_channels


def dump_store(store: Path) -> dict[str, Any]:
    """Return the canonical dump of a valid store."""
    attributes = json.loads((store / "zarr.json").read_text(encoding="utf-8"))["attributes"]["freqcache"]
    channels = stored_channels(attributes["channels"])
    splits = {name: _dump_split(store / name, attributes["kind"], channels) for name in attributes["splits"]}
    return {"kind": attributes["kind"], "splits": splits}


def _dump_split(path: Path, kind: str, stored: list[int]) -> dict[str, Any]:
    group: Any = zarr.open_group(path, mode="r")
    present = np.flatnonzero(group["origin"][...] != 255)
    steps = group["quantization"][...].astype(np.float64)
    planes: list[list[bytes]] = [[] for _ in stored]
    if kind == "fixed":
        coefficients = group["coefficients"][...]
        for slot in present:
            for channel in range(len(stored)):
                planes[channel].append((coefficients[slot, channel] * steps[channel]).astype("<f8").tobytes())
    else:
        offset, blocks = group["offset"][...], group["blocks"][...]
        for component, name in enumerate(("y", "cb", "cr")):
            rows = [row for row, index in enumerate(stored) if index // 64 == component]
            column = group[name][...] if rows else np.empty((0, 0))
            for slot in present if rows else ():
                start, count = offset[slot, component], blocks[slot, component].prod()
                for place, row in enumerate(rows):
                    sample = column[place, start : start + count] * steps[slot, component, stored[row] % 64]
                    planes[row].append(sample.astype("<f8").tobytes())
    channels = [b"".join(plane) for plane in planes]
    return {
        "labels": group["label"][...][present].tolist(),
        "sums": [_number(np.frombuffer(channel, dtype="<f8").sum()) for channel in channels],
        "digests": [hashlib.sha256(channel).hexdigest()[:8] for channel in channels],
    }


def _number(value: float) -> int | float:
    """Write whole numbers without a fraction, as JSON of other languages has them."""
    return int(value) if float(value).is_integer() else float(value)


def main(arguments: list[str]) -> int:
    """Print the dump of the store named on the command line, or its first problem."""
    if len(arguments) != 1:
        sys.stderr.write("usage: dump.py STORE\n")
        return 2
    store = Path(arguments[0])
    problems = check_store(store)
    if problems:
        sys.stderr.write(f"{problems[0].location}: {problems[0].message}\n")
        return 1
    sys.stdout.write(json.dumps(dump_store(store)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The digest of a store's metadata: section 8 of the specification, read a second time.

Needs the standard library only, and shares no code with freqcache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KEY = "metadata_digest"
SMALL = (
    *("label", "width", "height", "source_width", "source_height", "sampling", "orientation", "origin"),
    *("source_bytes", "source_digest", "source_path", "source_path_offset", "row_group_start"),
    *("shard_digest", "shard_bytes"),
)
ARRAYS = {
    "native": (*SMALL, "offset", "blocks", "quantization", "y", "cb", "cr"),
    "fixed": (*SMALL, "quantization", "coefficients"),
}
"""Names of the arrays of a split, by the kind of the store."""


def canonical(value: Any) -> str:
    """Return the canonical JSON of a value."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return json.dumps(value) if isinstance(value, str) else repr(value)


def digest_of(store: Path, kind: str, splits: Iterable[str]) -> str:
    """Return the digest of a store's metadata, whatever is recorded."""
    folders = [path for split in splits for path in (split, *(f"{split}/{name}" for name in ARRAYS[kind]))]
    paths = ["zarr.json", *(f"{folder}/zarr.json" for folder in folders if (store / folder / "zarr.json").is_file())]
    documents = {path: json.loads((store / path).read_text(encoding="utf-8")) for path in paths}
    documents["zarr.json"]["attributes"]["freqcache"].pop(KEY, None)
    return hashlib.blake2b(canonical(documents).encode("ascii"), digest_size=16).hexdigest()


def seal(store: Path) -> None:
    """Write the digest that fits what a store holds, if it has one: for the damaged examples."""
    path = store / "zarr.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    attributes = document["attributes"]["freqcache"]
    if KEY in attributes and attributes.get("kind") in ARRAYS:
        attributes[KEY] = digest_of(store, attributes["kind"], attributes["splits"])
        path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")

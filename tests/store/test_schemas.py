"""The attributes of built stores follow their JSON schemas, and so do their required keys."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from photographs import write_tree

import freqcache
from freqcache.errors import FormatError
from freqcache_formats.metadata import SplitMetadata, StoreMetadata


def schema(name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((files("freqcache_formats") / "schemas" / name).read_text())
    return document


@pytest.mark.parametrize("size", [None, 48])
def test_attributes_follow_their_schemas(tmp_path: Path, size: int | None) -> None:
    write_tree(tmp_path / "photos", per_class=1)
    out = tmp_path / "out.zarr"
    freqcache.build(tmp_path / "photos", out, freqcache.BuildOptions(size=size), workers=1, quiet=True)
    root = json.loads((out / "zarr.json").read_text())["attributes"]["freqcache"]
    jsonschema.validate(root, schema("store.schema.json"))
    assert StoreMetadata.from_dict(root).to_dict() == root
    split = json.loads((out / "train" / "zarr.json").read_text())["attributes"]["freqcache"]
    jsonschema.validate(split, schema("split.schema.json"))
    assert SplitMetadata.from_dict(split).to_dict() == split
    for required in schema("split.schema.json")["required"]:  # type: ignore[attr-defined]
        with pytest.raises(FormatError):
            SplitMetadata.from_dict({key: value for key, value in split.items() if key != required})

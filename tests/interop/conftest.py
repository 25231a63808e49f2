"""Stores that the readers of this folder are compared on, built once: native and fixed, two splits each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from photographs import write_tree

import freqcache
from freqcache.building.hot import make_hot

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "formats" / "v1" / "conformance"))

OPTIONS: dict[str, dict[str, Any]] = {
    "native": {},
    "int8": {"size": 32},
    "int16": {"size": 32, "exact": True},
}


@pytest.fixture(scope="session", params=OPTIONS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(f"interop-{request.param}")
    write_tree(folder / "photos")
    out = folder / f"{request.param}.zarr"
    freqcache.build(folder / "photos", out, freqcache.BuildOptions(**OPTIONS[request.param]), workers=1, quiet=True)
    make_hot(out, "6", quiet=True)
    return out

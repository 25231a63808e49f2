"""A small source as a folder, and the store of it in the order of its listing."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import write_tree

import freqcache

IN_ORDER = freqcache.BuildOptions(shuffle=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="session")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("store") / "folder.zarr"
    freqcache.build(folder, out, IN_ORDER, workers=1, quiet=True)
    return out

"""Stores in the S3 server, and the same on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from photographs import write_tree
from remote.proxy import Proxy
from remote.server import BUCKET

import freqcache


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "s3" in request.fixturenames:
        request.getfixturevalue("s3").fault = lambda method, path: None


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with native.zarr and fixed.zarr."""
    folder = tmp_path_factory.mktemp("local")
    write_tree(folder / "photos")
    for name, size in (("native", None), ("fixed", 48)):
        options = freqcache.BuildOptions(size=size)
        freqcache.build(folder / "photos", folder / f"{name}.zarr", options, workers=1, quiet=True)
    return folder


@pytest.fixture(scope="session")
def uploaded(s3: Proxy, local: Path) -> str:
    """The URL of a folder with the same."""
    import s3fs

    system: Any = s3fs.S3FileSystem()
    system.put(f"{local}/", f"{BUCKET}/stores", recursive=True)
    return f"s3://{BUCKET}/stores"

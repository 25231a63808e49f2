"""Fixtures that every test folder shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from remote.proxy import Proxy
from remote.server import BUCKET, s3_server

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and malformed photographs beside the checkout; tests that need it skip without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared photographs at {folder}")
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[Proxy]:
    """A real S3 server behind this proxy; credentials and endpoint go through the environment, as a user's would."""
    pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    with s3_server() as (proxy, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield proxy
        s3fs.S3FileSystem.clear_instance_cache()

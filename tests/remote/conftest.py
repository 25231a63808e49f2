"""A real S3 server on loopback, behind a proxy that counts and fails, and stores in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from photographs import write_tree
from remote.proxy import Proxy

import freqcache

BUCKET = "bucket"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy; credentials and endpoint go through the environment, as a user's would."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import s3fs

    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request, which pytest would keep
    with pytest.MonkeyPatch.context() as patch, Proxy(server.get_host_and_port()[1]) as proxy:
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own waits are long; s3fs tries again as well
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield proxy
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


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

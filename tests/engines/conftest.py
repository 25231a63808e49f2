"""A small source, what an undisturbed build of it makes, and the layout of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from build_process import SMALL, everything, write_source

import freqcache


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """The layout of ``building/small_build.py``, with which the builds in processes of their own run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(name, value)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, _small: None) -> Path:
    return write_source(tmp_path_factory.mktemp("engines") / "photos", per_class=7)


@pytest.fixture(scope="module")
def whole(photos: Path) -> dict[str, str]:
    """What a build in one process makes."""
    out = photos.with_name("out.zarr")
    freqcache.build(photos, out, workers=1, quiet=True)
    return everything(out)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "out.zarr"

"""A native and two fixed stores of one small source with a damaged file, laid out in several shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from photographs import write_tree

import freqcache

KINDS = {
    "native": freqcache.BuildOptions(),
    "int8": freqcache.BuildOptions(size=48),
    "int16": freqcache.BuildOptions(size=48, exact=True, level=3),
}


@contextmanager
def small_shards() -> Iterator[None]:
    """Shards of 16 samples, and of a few native row groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freqcache.building.plan.SHARD_SAMPLES", 16)
        patch.setattr("freqcache.building.plan.ROW_GROUP_BLOCKS", 400)
        yield


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Not of the session: tests of other folders run in the same process."""
    with small_shards():
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("rewriting") / "photos", per_class=9)


@pytest.fixture(scope="session")
def stores(photos: Path) -> Path:
    """A folder of a store of each kind, without an absent slot; and ``absent.zarr``, with two."""
    with small_shards():
        for name, options in KINDS.items():
            freqcache.build(photos, photos.parent / f"{name}.zarr", options, workers=1, quiet=True)
        cut = [photos / "train" / name / "cut.jpg" for name in ("ant", "bee")]
        for path in cut:
            path.write_bytes((path.parent / "0.jpg").read_bytes()[:900])
        freqcache.build(photos, photos.parent / "absent.zarr", workers=1, quiet=True)
        for path in cut:
            path.unlink()
    return photos.parent


@pytest.fixture(params=list(KINDS))
def store(stores: Path, request: pytest.FixtureRequest) -> Path:
    """A store of each kind."""
    found: Path = stores / f"{request.param}.zarr"
    return found

"""Two small caches of one source, native and fixed, that no test changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import write_tree

import freqcache


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``photos``, ``native.zarr`` and ``fixed.zarr``; one of the files is cut off, and its slot empty."""
    folder = tmp_path_factory.mktemp("plotting")
    write_tree(folder / "photos", per_class=6)
    broken = folder / "photos" / "train" / "ant" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])  # its header is sound, so that it has a slot
    freqcache.build(folder / "photos", folder / "native.zarr", workers=1, quiet=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", freqcache.BuildOptions(size=40), workers=1, quiet=True)
    return folder

"""The caches that the benchmarks read: built once of a folder of images, and kept beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import freqcache
from freqcache.extraction import ExtractionOptions


def make_stores(images: Path, work: Path, workers: int) -> dict[str, Path]:
    """Build the two caches that are not there yet; return their paths."""
    stores = {"native": work / f"{images.name}-native.zarr", "fixed": work / f"{images.name}-448.zarr"}
    options = {
        "native": freqcache.BuildOptions(extraction=ExtractionOptions(max_size=None)),
        "fixed": freqcache.BuildOptions(size=448),
    }
    for kind, path in stores.items():
        if not (path / "zarr.json").exists():
            freqcache.build(images, path, options[kind], workers=workers, quiet=True)
    return stores


def make_hot_store(store: Path) -> Path:
    """Copy a cache, with a hot copy of all its channels; return its path."""
    path = store.with_name(f"{store.stem}-hot.zarr")
    if not path.exists():
        shutil.copytree(store, path)
    if not (path / "hot").exists():
        freqcache.make_hot(path, "192", quiet=True)
    return path

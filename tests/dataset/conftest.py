"""Stores that the tests of loaders share: read only."""

from __future__ import annotations

from pathlib import Path

import pytest
from visiting import KINDS, build_stores

from freqcache import FrequencyDataset


@pytest.fixture(scope="session")
def small_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 samples in ``fixed.zarr`` and ``native.zarr``."""
    return build_stores(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small(small_stores: Path) -> dict[str, FrequencyDataset]:
    """24 channels of them, by kind."""
    return {kind: FrequencyDataset(small_stores / f"{kind}.zarr", split="all", channels="24") for kind in KINDS}


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a row group or two at a time, so that small stores are read in many portions."""
    monkeypatch.setattr("freqcache.loading.items.PORTION", 6)

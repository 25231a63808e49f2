"""A small source of mixed files, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from photographs import write_tree


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("source"))

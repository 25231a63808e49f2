"""zarrita under Node reads what zarr-python reads; which damage it notices, and which it does not.

Set up by ``tests/interop/setup_node.sh``; skipped where node or the packages are missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dump import dump_store
from run import differences

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "zarrita").is_dir():
        pytest.skip("zarrita is not installed: run tests/interop/setup_node.sh")
    return program


def read(node: str, store: Path) -> dict[str, Any]:
    command = [node, str(HERE / "dump.mjs"), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise ValueError(done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def damaged(store: Path, out: Path, position: int) -> Path:
    """Copy a store and flip a bit of its first shard of coefficients."""
    shutil.copytree(store, out)
    shard = next(path for name in ("coefficients", "cr") for path in (out / "train" / name).glob("c/**/0"))
    if shard.is_dir():
        shard = next(path for path in shard.rglob("*") if path.is_file())
    data = bytearray(shard.read_bytes())
    data[position] ^= 4
    shard.write_bytes(data)
    return out


def test_zarrita_reads_the_same(built: Path, node: str) -> None:
    expected = dump_store(built)
    assert differences(expected, read(node, built)) == []
    assert all(len(set(split["digests"])) > 50 for split in expected["splits"].values())


def test_zarrita_and_a_flipped_bit(built: Path, node: str, tmp_path: Path) -> None:
    """It ignores crc32c. In fixed stores the zstd frame checksum catches the flip; in native ones nothing does."""
    store = damaged(built, tmp_path / "hurt.zarr", 40)
    if built.name == "native.zarr":
        assert differences(dump_store(built), read(node, store)) != []
    else:
        with pytest.raises(ValueError, match=r"\S"):
            read(node, store)

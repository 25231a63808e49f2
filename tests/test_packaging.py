"""The wheel and the sdist: exactly the three import packages, and all the files that they need."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"freqcache", "freqcache_cli", "freqcache_formats"}
NEEDED = {
    "freqcache/py.typed",
    "freqcache_cli/py.typed",
    "freqcache_formats/py.typed",
    "freqcache_formats/schemas/mask.schema.json",
    "freqcache/samples/flowers/ATTRIBUTION.txt",
}


def build_distribution(kind: str, project: Path, out: Path) -> Path:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_holds_the_three_packages_and_their_data(tmp_path: Path) -> None:
    names = wheel_names(build_distribution("wheel", ROOT, tmp_path / "wheel"))
    assert {name.split("/")[0] for name in names} == PACKAGES
    assert names >= NEEDED
    photographs = [name for name in names if name.startswith("freqcache/samples/") and name.endswith(".jpg")]
    assert len(photographs) == 150
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_sdist_makes_the_same_wheel(tmp_path: Path) -> None:
    sdist = build_distribution("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (project,) = (tmp_path / "unpacked").iterdir()
    assert (project / "README.md").is_file()
    assert (project / "LICENSE").is_file()
    direct = wheel_names(build_distribution("wheel", ROOT, tmp_path / "wheel"))
    assert wheel_names(build_distribution("wheel", project, tmp_path / "again")) == direct


def test_sample_photographs_are_small_and_attributed() -> None:
    folder = ROOT / "freqcache" / "samples" / "flowers"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    attribution = (folder / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    for path in folder.rglob("*.jpg"):
        assert f"{path.parent.name}/{path.name} CC-BY by " in attribution

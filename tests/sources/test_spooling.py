"""Sources that are quick in their own order only: what compares and measures reads them in it, once, from a copy."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_sources import write_parquet

import freqcache
from freqcache.benchmarking.options import BenchOptions
from freqcache.benchmarking.reading import measure_reading
from freqcache.scratch import folders
from freqcache.sources.parquet import ParquetReader
from freqcache.sources.spool import Spool
from freqcache.verification import verify
from freqcache_cli.main import main

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet source, and its shuffled store."""
    place = tmp_path_factory.mktemp("parquet")
    write_parquet(folder, place / "source")
    freqcache.build(place / "source", place / "out.zarr", workers=1, quiet=True)
    return place


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int]]:
    """The rows that are read, in order; temporary files lie in tmp_path/temporary."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    places: list[tuple[str, int]] = []
    real = ParquetReader.read

    def noted(self: ParquetReader, file: Any, length: int = -1) -> bytes:
        places.append((file.container, file.position))
        return real(self, file, length)

    monkeypatch.setattr(ParquetReader, "read", noted)
    return places


def left(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("sample", [None, 3])
def test_a_verification(made: Path, read: list[tuple[str, int]], tmp_path: Path, sample: int | None) -> None:
    report = verify(made / "out.zarr", source=made / "source", sample=sample, workers=1, quiet=True)
    assert report.is_sound
    assert report.counts.source_files == len(read) == (28 if sample is None else 6)
    assert read == sorted(read)
    assert left(tmp_path) == []


def test_workers_read_the_copy(made: Path, tmp_path: Path, read: list[tuple[str, int]]) -> None:
    report = verify(made / "out.zarr", source=made / "source", workers=2, quiet=True)
    assert (report.is_sound, report.counts.source_files) == (True, 28)
    assert len(read) == 28
    assert left(tmp_path) == []


def test_what_cannot_be_read_is_a_finding(
    made: Path, tmp_path: Path, read: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = ParquetReader.read

    def broken(self: ParquetReader, file: Any, length: int = -1) -> bytes:
        if file.position == 5:
            return noted(self, replace(file, position=10**6), length)
        return noted(self, file, length)

    monkeypatch.setattr(ParquetReader, "read", broken)
    report = verify(made / "out.zarr", source=made / "source", workers=1, quiet=True)
    assert [finding.kind for finding in report.findings] == ["source-unreadable"] * 2  # of each split one
    assert all(finding.reason.startswith("in the source, but cannot be read: ") for finding in report.findings)
    assert left(tmp_path) == []


def test_an_interruption_leaves_nothing(
    made: Path, tmp_path: Path, read: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Spool, data: bytes) -> int:
        assert left(tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Spool, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(made / "out.zarr", source=made / "source", workers=1, quiet=True)
    assert left(tmp_path) == []


def test_without_a_scratch_folder_it_is_said(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(folders, "mkdtemp", refuse)
    assert main(["verify", str(made / "out.zarr"), "--source", str(made / "source"), "--workers", "1", "-q"]) == 1
    assert "no temporary folder can be made" in capsys.readouterr().err
    assert main(["verify", str(made / "out.zarr"), "--workers", "1", "-q"]) == 0  # which needs none


def test_a_measurement(made: Path, read: list[tuple[str, int]], tmp_path: Path) -> None:
    options = BenchOptions(
        channels=["6"], orders=["groups"], states=["warm"], repeats=2, seconds=0.5, source=made / "source"
    )
    report = measure_reading(made / "out.zarr", options, quiet=True)
    assert any(measurement.reader == "Pillow" for measurement in report.measurements)
    assert any("reads a copy of the images" in note for note in report.notes)
    assert len(read) == 14  # of the training split, each once
    assert read == sorted(read)
    assert left(tmp_path) == []

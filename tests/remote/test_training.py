"""Training from S3: as from a folder, through faults, by one process and by two, and what stops it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from remote.proxy import Proxy
from remote.server import BUCKET
from remote.test_reading import _no_waiting, once

from freqcache_cli.main import cli, main

OPTIONS = ["--epochs", "2", "--width", "0.125", "--batch-size", "4", "--shift", "1", "--lr", "0.02", "--threads", "1"]
OPTIONS += ["--device", "cpu", "--channels", "24"]
TIMED = {"seconds", "images_per_second", "loader_share"}

__all__ = ["_no_waiting"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in arguments])


def history(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMED} for line in lines]


@pytest.fixture(scope="module")
def from_folder(local: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a run from the folder says of itself."""
    out = tmp_path_factory.mktemp("here") / "run"
    result = invoke("train", local / "fixed.zarr", *OPTIONS, "--out", out)
    assert result.exit_code == 0, result.output
    return history(out)


@pytest.mark.parametrize("fault", ["", "throttle", "error", "reset", "cut"])
def test_a_run_is_the_same_through_every_fault(
    fault: str, from_folder: list[dict[str, Any]], uploaded: str, s3: Proxy, tmp_path: Path
) -> None:
    s3.traffic.clear()
    s3.fault = once(fault, "coefficients/c/") if fault else s3.fault  # type: ignore[assignment]
    result = invoke("train", f"{uploaded}/fixed.zarr", *OPTIONS, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert history(tmp_path / "run") == from_folder
    assert bool(s3.traffic.faults) == bool(fault)


def test_a_run_is_resumed_and_evaluated_from_the_folder_of_the_cache(uploaded: str, s3: Proxy, tmp_path: Path) -> None:
    kept = ["--cache-dir", tmp_path / "kept"]
    result = invoke("train", f"{uploaded}/fixed.zarr", *OPTIONS, "--out", tmp_path / "run", *kept)
    assert result.exit_code == 0, result.output
    for arguments in (["train", "--resume", tmp_path / "run"], ["eval", tmp_path / "run"]):
        s3.traffic.clear()
        result = invoke(*arguments, *kept, "--cache-size", "5 MB")
        assert result.exit_code == 0, result.output
        assert {path for _, path, _ in s3.traffic.requests} == {f"/{BUCKET}/stores/fixed.zarr/zarr.json"}
    assert "FREQCACHE_CACHE_DIR" not in os.environ


def test_a_missing_shard_ends_training_with_one_line(
    uploaded: str, s3: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    system.copy(f"{uploaded}/fixed.zarr", f"{uploaded}/gone.zarr", recursive=True)
    shards = system.find(f"{uploaded}/gone.zarr/train/coefficients/c")
    system.rm(shards[-1])
    status = main(["train", f"{uploaded}/gone.zarr", *OPTIONS, "--out", str(tmp_path / "run"), "-q"])
    said = capsys.readouterr().err
    assert status == 1
    assert said.startswith(f"freqcache: error: s3://{shards[-1]}: cannot be read: no such object")
    assert said.count("\n") == 1


def test_two_ranks_read_from_it(from_folder: list[dict[str, Any]], uploaded: str, s3: Proxy, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    train = [sys.executable, "-m", "freqcache_cli.main", "train", f"{uploaded}/fixed.zarr", *OPTIONS]
    more = {
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "FREQCACHE_CACHE_DIR": str(tmp_path / "kept"),
    }
    more |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    more |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        subprocess.Popen(
            [*train, "--out", str(tmp_path / "run")],
            env=os.environ | more | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        said = [process.communicate(timeout=240) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], said
    assert "2 processes" in said[0][0]
    # As one process; from the second epoch on, a unit that flips by rounding shows on so few images.
    for found, expected, near in zip(history(tmp_path / "run"), from_folder, (2e-3, 2e-2), strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=near)
    s3.traffic.clear()  # both have filled one folder
    result = invoke("eval", tmp_path / "run", "--cache-dir", tmp_path / "kept")
    assert result.exit_code == 0, result.output
    assert {path for _, path, _ in s3.traffic.requests} == {f"/{BUCKET}/stores/fixed.zarr/zarr.json"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["info", "{here}", "--cache-dir", "kept"],
            "--cache-dir is for stores at a URL, and {here} is on this machine",
        ),
        (["info", "{there}", "--cache-size", "5GB"], "name its folder with --cache-dir"),
        (["info", "{there}", "--cache-dir", "kept", "--cache-size", "much"], "'much' is not a number of bytes"),
        (["merge", "{here}", "{here}", "out", "--cache-dir", "kept"], "--cache-dir is for stores at a URL"),
    ],
)
def test_wrong_usage_is_said(arguments: list[str], words: str, local: Path, uploaded: str, tmp_path: Path) -> None:
    names = {"here": str(local / "fixed.zarr"), "there": f"{uploaded}/fixed.zarr"}
    result = CliRunner().invoke(cli, [word.format(**names) for word in arguments], env={"FREQCACHE_CACHE_DIR": ""})
    assert result.exit_code == 2
    assert words.format(**names) in " ".join(result.output.split())


def test_a_cache_that_cannot_be_used_is_one_line(
    uploaded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert main(["info", f"{uploaded}/fixed.zarr", "--cache-dir", str(tmp_path)]) == 1
    assert "holds photo.jpg and is no cache; it is left alone" in capsys.readouterr().err
    assert main(["info", f"{uploaded}/fixed.zarr", "--cache-dir", str(tmp_path / "c"), "--cache-size", "10"]) == 1
    assert "cache of 10 bytes: expected at least 1000000" in capsys.readouterr().err

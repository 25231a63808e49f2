"""Short runs of the harnesses: builds that are killed, or that find the disk full, finish to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NOT_PERMITTED = 77


def harness(name: str, work: Path, *options: str) -> list[str]:
    """Run a harness and return its lines."""
    command = [sys.executable, str(Path(__file__).with_name(name)), str(work), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == NOT_PERMITTED:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_killed_builds_finish_to_the_same_bytes(tmp_path: Path) -> None:
    lines = harness("crash.py", tmp_path, "--moments", "3")
    assert [line.split()[0] for line in lines] == ["native:", "fixed:", "replacing:"]
    assert all(int(line.split()[1]) == 3 for line in lines)


def test_builds_by_several_processes_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    (line,) = harness("random_kills.py", tmp_path, "--moments", "3", "--kind", "native")
    assert "all stores equal" in line


@pytest.mark.parametrize(("kind", "workers", "points", "times"), [("native", 1, 2, 3), ("fixed", 2, 1, 1)])
def test_builds_on_a_full_disk_finish_on_a_larger_one(
    tmp_path: Path, kind: str, workers: int, points: int, times: int
) -> None:
    options = ["--points", str(points), "--kind", kind, "--workers", str(workers)]
    (line,) = harness("disk_full.py", tmp_path, *options)
    assert f"full {times} times" in line
    assert points == 1 or "(1 journal, 1 ledger, 1 root metadata)" in line

"""A short run of the crash harness: builds killed by SIGKILL finish to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_killed_builds_finish_to_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("crash.py")), str(tmp_path), "--moments", "6"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        assert int(line.split()[1]) >= 5
    assert len(done.stdout.splitlines()) == 2

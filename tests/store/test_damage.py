"""A short run of the damage harness: flipped bits, cut, zeroed and exchanged shards are found by reading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_damage_is_found(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("damage.py")), str(tmp_path), "--flips", "60"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["30", "30"]
    assert all(int(line.split()[5]) >= 15 for line in lines)

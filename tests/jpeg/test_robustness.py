"""A short run of the mutants; the long one is ``python -m tests.jpeg.mutants --count 100000 --leak 20000``."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

from tests.conftest import ROOT
from tests.jpeg.mutants import mutate, seeds


def test_mutants_with_bounds_checks():
    paths = os.pathsep.join([str(ROOT), str(ROOT / "formats")])
    command = [sys.executable, "-m", "tests.jpeg.mutants", "--count", "600", "--leak", "300", "--seed", "1"]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["mutants"] == 600
    assert report["outcomes"]["with warnings"] > 100
    assert report["outcomes"]["CorruptImageError"] > 50


def test_mutants_differ_from_their_seeds():
    originals = seeds(None)
    choose = random.Random(3).randrange
    changed = sum(mutate(data, originals, choose) != data for data in originals * 5)
    assert changed > 4.5 * len(originals)

"""Where machine code is kept, and what the user hears of it; each case in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROBE = """
from __future__ import annotations

from freqcache.compiled import kernel


@kernel
def double(number: int) -> int:
    return 2 * number


if __name__ == "freqcache_probe":
    print(double(21), double.stats.cache_path, sum(double.stats.cache_hits.values()))
"""


def run(folder: Path, **environment: str) -> tuple[list[str], str]:
    """Import the probe; return what it printed, and what was said on stderr."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    variables |= {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), str(ROOT / "formats")]), **environment}
    command = [sys.executable, "-B", "-c", "import freqcache_probe"]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return result.stdout.split(), result.stderr


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A folder with a module of one kernel."""
    folder = tmp_path / "probe"
    folder.mkdir()
    (folder / "freqcache_probe.py").write_text(PROBE)
    return folder


@pytest.fixture
def locked(probe: Path, tmp_path: Path) -> dict[str, str]:
    """Environment in which neither the package's folder nor the home can be written, not even by root."""
    (probe / "__pycache__").write_text("not a folder")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    home = "/dev/null/home"
    return {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": str(temporary)}


def test_first_run_compiles_and_says_so_once(probe):
    (value, folder, hits), said = run(probe)
    assert (value, hits) == ("42", "0")
    assert Path(folder) == probe / "__pycache__"
    assert len(said.splitlines()) == 1
    assert "compiles its inner loops" in said
    assert str(folder) in said


def test_later_runs_load_and_say_nothing(probe):
    run(probe)
    (value, _, hits), said = run(probe)
    assert (value, hits, said) == ("42", "1", "")


def test_temporary_folder_where_nothing_else_can_be_written(probe, locked):
    (value, folder, _), _ = run(probe, **locked)
    assert value == "42"
    base = Path(locked["TMPDIR"]) / f"freqcache-{os.getuid()}"
    assert Path(folder).parent == base
    assert base.stat().st_mode & 0o777 == 0o700
    (_, _, hits), said = run(probe, **locked)
    assert (hits, said) == ("1", "")


@pytest.mark.parametrize("trap", ["open to others", "a link", "a file"])
def test_no_machine_code_from_a_folder_that_others_could_fill(probe, locked, trap, tmp_path):
    base = Path(locked["TMPDIR"]) / f"freqcache-{os.getuid()}"
    if trap == "open to others":
        base.mkdir()
        base.chmod(0o777)
    elif trap == "a link":
        (tmp_path / "elsewhere").mkdir()
        base.symlink_to(tmp_path / "elsewhere")
    else:
        base.write_text("")
    (value, folder, _), said = run(probe, **locked)
    assert (value, folder) == ("42", "None")
    assert "not kept" in said
    assert not base.is_dir() or not list(base.iterdir())


def test_user_chooses_the_folder(probe, tmp_path):
    (_, folder, _), _ = run(probe, NUMBA_CACHE_DIR=str(tmp_path / "chosen"))
    assert Path(folder).parent == tmp_path / "chosen"


def test_code_with_bounds_checks_is_not_mixed_with_other_code(probe):
    (value, folder, _), _ = run(probe, NUMBA_BOUNDSCHECK="1")
    assert (value, folder) == ("42", "None")
    assert not (probe / "__pycache__").exists()


def test_headers_need_no_compiler():
    code = "import sys, freqcache.jpeg as j; j.read_header; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

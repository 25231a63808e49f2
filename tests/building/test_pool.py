"""Workers: no main module, no ear for Ctrl-C, no life after their parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from photographs import encoded

import freqcache

HERE = Path(__file__).parent
WAITING = """
import sys
sys.path[:0] = [sys.argv[1]]
from pool_tasks import wait_for_ever
from freqcache.building.pool import Pool
try:
    with Pool(2) as pool:
        list(pool.run(wait_for_ever, [sys.argv[2]] * 6))
except KeyboardInterrupt:
    print("interrupted")
"""


def ended(pid: int) -> bool:
    """Wait for a process that is no child of ours to end; True if it does within a minute."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 60)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed parent"])
def test_workers_end_with_the_parent(tmp_path: Path, how: signal.Signals) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", WAITING, str(HERE), str(fifo)]
    # A session of its own: Ctrl-C goes to the whole group, and this shell may have told us to ignore it.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    workers: set[int] = set()
    while len(workers) < 2:
        workers |= {int(line) for line in fifo.read_text().split()}
    if how == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    out, err = process.communicate(timeout=60)
    assert all(ended(pid) for pid in workers)
    assert "Traceback" not in err
    if how == signal.SIGINT:
        assert out == "interrupted\n"


def test_a_dead_worker_is_an_error(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from concurrent.futures.process import BrokenProcessPool\n"
        "from pool_tasks import die\n"
        "from freqcache.building.pool import Pool\n"
        "try:\n"
        "    with Pool(2) as pool: list(pool.run(die, range(4)))\n"
        "except BrokenProcessPool: print('broken')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(HERE)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "broken\n", done.stderr


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    """More files than one batch of headers, so that workers are started from the script's top level."""
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    data = encoded(1, 24, 16)
    for i in range(130):
        (folder / f"{i}.jpg").write_bytes(data)
    script = tmp_path / "script.py"
    script.write_text(
        "import freqcache\n"
        "report = freqcache.build('photos', 'out.zarr', workers=2, quiet=True)\n"
        "print(report.n_samples, __file__)\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[0] == "130", done.stderr
    assert done.stdout.split()[1] == str(script)
    assert len(freqcache.open(tmp_path / "out.zarr")["all"]) == 130

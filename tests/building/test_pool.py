"""Workers: no main module, no ear for Ctrl-C, no life after their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from build_process import all_ended
from photographs import encoded

import freqcache
from freqcache import workers
from freqcache.workers import Pool

HERE = Path(__file__).parent
WAITING = """
import sys
sys.path[:0] = [sys.argv[1]]
from pool_tasks import wait_for_ever
from freqcache.workers import Pool
try:
    with Pool(2) as pool:
        list(pool.run(wait_for_ever, [sys.argv[2]] * 6))
except KeyboardInterrupt:
    print("interrupted")
"""


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
    pids: set[int] = set()
    while len(pids) < 2:
        pids |= {int(line) for line in fifo.read_text().split()}
    if how == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    out, err = process.communicate(timeout=60)
    assert all_ended(pids)
    assert "Traceback" not in err
    if how == signal.SIGINT:
        assert out == "interrupted\n"


@pytest.mark.parametrize("length", [1, 1_000_000], ids=["short tasks", "tasks longer than a pipe"])
def test_a_dead_worker_is_an_error_and_leaves_nothing(length: int) -> None:
    """The other worker is busy, and one has a lock with a name, as compressors make them."""
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pool_tasks import die_or_wait\n"
        "from freqcache.workers import Pool, WorkerDiedError\n"
        "try:\n"
        "    with Pool(2) as pool: list(pool.run(die_or_wait, [(i, bytes(int(sys.argv[2]))) for i in range(6)]))\n"
        "except WorkerDiedError: print('died')\n"
    )
    command = [sys.executable, "-c", script, str(HERE), str(length)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("died\n", "")


def test_no_worker_hears_an_interrupt() -> None:
    """In a fresh process, where the first worker is started together with what multiprocessing needs for it."""
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pool_tasks import interrupts_are_blocked\n"
        "from freqcache.workers import Pool\n"
        "with Pool(2) as pool: print(*pool.run(interrupts_are_blocked, range(2)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(HERE)], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_an_error_shows_where_it_was() -> None:
    with Pool(2) as pool, pytest.raises(ValueError, match="invalid literal") as caught:
        list(pool.run(int, ["1", "x"]))
    assert any("in _outcome" in note for note in caught.value.__notes__)
    assert not multiprocessing.active_children()


def test_results_come_from_workers_that_are_kept() -> None:
    with Pool(2) as pool:
        assert sorted(pool.run(abs, [-3, 1, 2, -5, 4])) == [1, 2, 3, 4, 5]
        pids = {child.pid for child in multiprocessing.active_children()}
        assert sorted(pool.run(abs, [-1, -2])) == [1, 2]
        assert {child.pid for child in multiprocessing.active_children()} == pids
    assert not multiprocessing.active_children()


def test_an_interrupt_while_workers_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = workers._start_worker, []

    def start() -> object:
        if started:
            raise KeyboardInterrupt
        started.append(real())
        return started[0]

    monkeypatch.setattr(workers, "_start_worker", start)
    with pytest.raises(KeyboardInterrupt), Pool(2) as pool:
        list(pool.run(abs, [1, 2, 3]))
    assert not multiprocessing.active_children()


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

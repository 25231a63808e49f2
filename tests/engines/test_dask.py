"""Builds by a Dask cluster of real processes: what they make, and what dies on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest
from build_process import TIMEOUT, among_own_mounts, command, everything
from remote.proxy import Proxy
from remote.server import BUCKET, puts_of_shards

import freqcache
from freqcache.building import run as run_module
from freqcache_cli.main import main

distributed = pytest.importorskip("distributed", reason="no distributed: pip install 'freqcache[dask]'")

from engines.dask_cluster import Cluster  # noqa: E402

PASSING = 0
"""The first shard of each split is made although the gate is closed."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), passing=PASSING) as cluster:
        cluster.start_workers(3)
        yield cluster


@pytest.fixture(autouse=True)
def _begin_anew(cluster: Cluster) -> Iterator[None]:
    """Whatever a test did: the gate is open, nothing of the last one is told, and there are three workers."""
    if missing := 3 - len(cluster.workers):
        cluster.start_workers(missing)
    cluster.events.forget()
    yield
    cluster.gate.open()


@contextmanager
def building(photos: Path, out: Path | str, cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    """Start a build as a command, in a session of its own."""
    process = subprocess.Popen(
        [*command(photos, out, size=None, workers=None), "--engine", "dask", "--scheduler", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def build(photos: Path, out: Path, cluster: Cluster, *options: str) -> int:
    return main(["build", str(photos), str(out), "-q", "--engine", "dask", "--scheduler", str(cluster.file), *options])


def held(cluster: Cluster, workers: int) -> list[list[str]]:
    """Wait until so many workers stand before the gate; return split, shard and process of each."""

    def waiting(seen: list[list[str]]) -> list[list[str]]:
        return [words[1:] for words in seen if words[0] == "begun" and int(words[2]) > PASSING]

    cluster.events.wait(lambda seen: len(waiting(seen)) >= workers)
    return waiting(cluster.events.seen)


def wait_for_ends(cluster: Cluster) -> dict[tuple[str, ...], str]:
    """Wait until every shard that was begun has ended; return how."""

    def ends() -> dict[tuple[str, ...], str]:
        return {(split, shard, pid): how for split, shard, how, pid in cluster.events.of("ended")}

    cluster.events.wait(lambda _: {tuple(words) for words in cluster.events.of("begun")} <= set(ends()))
    return ends()


def finished(out: Path) -> dict[Path, tuple[int, int]]:
    """Return what tells whether the files of finished shards were touched."""
    names = [record.stem.split("-") for record in (out / ".build").glob("*.npz")]
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for split, number in names
        for path in (out / split).glob(f"*/c/*/{int(number)}")
    }


def check_placed_once(cluster: Cluster) -> None:
    cluster.events.drain()
    times = Counter(path for path, _ in cluster.events.of("placed"))
    assert len(times) > 10
    assert set(times.values()) == {1}


def test_the_same_bytes(photos: Path, whole: dict[str, str], out: Path, cluster: Cluster, tmp_path: Path) -> None:
    assert build(photos, out, cluster) == 0
    assert everything(out) == whole
    check_placed_once(cluster)
    assert len({pid for *_, pid in cluster.events.of("begun")}) > 1


def test_a_client_that_is_connected_is_taken_and_stays_so(
    photos: Path, whole: dict[str, str], out: Path, cluster: Cluster, tmp_path: Path
) -> None:
    options = freqcache.BuildOptions(size=48)
    with distributed.Client(cluster.address, set_as_default=False) as client:
        freqcache.build(photos, out, engine=client, quiet=True)
        freqcache.build(photos, tmp_path / "fixed.zarr", options, engine=client.get_executor(pure=False), quiet=True)
        assert client.status == "running"
    freqcache.build(photos, tmp_path / "local.zarr", options, workers=1, quiet=True)
    assert everything(out) == whole
    fixed, local = (freqcache.open(tmp_path / f"{name}.zarr") for name in ("fixed", "local"))
    assert fixed.id == local.id


def test_a_worker_that_is_killed_is_replaced_by_another(
    photos: Path, whole: dict[str, str], out: Path, cluster: Cluster
) -> None:
    cluster.gate.close()
    with building(photos, out, cluster) as process:
        split, number, pid = held(cluster, 1)[0]
        cluster.kill(int(pid))
        cluster.gate.open()
        assert process.communicate(timeout=TIMEOUT) == ("", "")
        assert process.returncode == 0
    assert everything(out) == whole
    check_placed_once(cluster)
    begun = {by for *shard, by in cluster.events.of("begun") if shard == [split, number]}
    assert pid in begun
    assert len(begun) > 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_client_that_ends_is_started_again_and_goes_on(
    photos: Path, whole: dict[str, str], out: Path, cluster: Cluster, how: signal.Signals
) -> None:
    """Its workers are in the middle of shards, and finish them: these count."""
    cluster.gate.close()
    with building(photos, out, cluster) as process:
        held(cluster, 3)
        process.send_signal(how)
        shown = process.communicate(timeout=TIMEOUT)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert shown == ("", "freqcache: interrupted; the same command goes on from here\n")
    before = finished(out)
    assert before
    cluster.gate.open()
    assert set(wait_for_ends(cluster).values()) == {"well"}
    before = finished(out)
    report = freqcache.build(photos, out, engine=freqcache.engines.DaskEngine(cluster.address), quiet=True)
    assert report.n_resumed * 3 == len(before) > 9
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before
    assert everything(out) == whole
    check_placed_once(cluster)


def test_workers_that_are_late_leave_another_build_alone(
    photos: Path, tmp_path: Path, out: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their client was killed, and the same place is built anew with other options; first half, then wholly."""
    other = freqcache.BuildOptions(seed=3, level=2)
    (tmp_path / "alone").mkdir()
    freqcache.build(photos, tmp_path / "alone" / "out.zarr", other, workers=1, quiet=True)
    cluster.gate.close()
    with building(photos, out, cluster):
        held(cluster, 3)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_split", stop)
        with pytest.raises(KeyboardInterrupt):
            freqcache.build(photos, out, other, workers=1, overwrite=True, quiet=True)
    before, placed = everything(out), len(cluster.events.of("placed"))
    cluster.gate.open()
    ends = wait_for_ends(cluster)
    assert Counter(ends.values())["BuildError"] == 3
    assert everything(out) == before
    assert len(cluster.events.of("placed")) == placed
    freqcache.build(photos, out, other, workers=1, quiet=True)
    assert everything(out) == everything(tmp_path / "alone" / "out.zarr")


def test_an_error_of_a_task_is_one_line(
    photos: Path, out: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(photos, out, cluster, "--on-corrupt", "fail") == 1
    shown = capsys.readouterr().err
    assert "train/ant/cut.jpg" in shown
    assert len(shown.splitlines()) == 1


def test_a_worker_of_another_release_is_named(
    photos: Path, out: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    (pid,) = cluster.start_workers(1, release="0.0.1")
    assert build(photos, out, cluster) == 1
    shown = capsys.readouterr().err
    assert "worker tcp://127.0.0.1:" in shown
    assert f"has freqcache 0.0.1 instead of {freqcache.__version__}" in shown
    assert len(shown.splitlines()) == 1
    cluster.kill(pid)


def test_a_worker_that_does_not_share_a_folder_is_named(
    photos: Path, out: Path, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It sees neither the source nor one of the folders for stores."""
    own_mounts = among_own_mounts()
    if own_mounts is None:
        pytest.skip("nothing can be mounted here")
    script = 'mount -t tmpfs none "$0" && mount -t tmpfs none "$1" && shift && exec "$@"'
    (pid,) = cluster.start_workers(1, prefix=[*own_mounts, "sh", "-c", script, str(photos), str(out.parent)])
    (tmp_path / "shared").mkdir()
    for store, what, folder in (
        (out, "does not see the store", out.parent),
        (tmp_path / "shared" / "out.zarr", "of the source", photos),
    ):
        assert build(photos, store, cluster) == 1
        shown = capsys.readouterr().err
        assert "worker tcp://127.0.0.1:" in shown
        assert what in shown
        assert str(folder) in shown
        assert len(shown.splitlines()) == 1
    cluster.kill(pid)


def test_a_scheduler_that_dies_ends_the_build(photos: Path, whole: dict[str, str], out: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path, passing=PASSING) as short:
        short.start_workers(1)
        short.gate.close()
        with building(photos, out, short) as process:
            held(short, 1)
            short.kill_scheduler()
            _, shown = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, shown
    assert "the connection to the Dask scheduler is lost; the same command goes on from here" in shown
    assert len(shown.splitlines()) == 1
    assert main(["build", str(photos), str(out), "-q", "--workers", "1"]) == 0
    assert everything(out) == whole


def test_at_object_storage_too_what_is_finished_is_not_sent_again(
    photos: Path, whole: dict[str, str], cluster: Cluster, s3: Proxy
) -> None:
    """The client is killed while its workers are in the middle of shards, which count when they are finished."""
    cluster.tell_workers({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    out = f"s3://{BUCKET}/dask/out.zarr"
    s3.traffic.clear()
    cluster.gate.close()
    with building(photos, out, cluster):
        held(cluster, 3)
    before = puts_of_shards(s3)
    assert before
    cluster.gate.open()
    assert set(wait_for_ends(cluster).values()) == {"well"}
    report = freqcache.build(photos, out, engine=freqcache.engines.DaskEngine(cluster.address), quiet=True)
    assert report.n_resumed >= 4
    system = fsspec.filesystem("s3", use_listings_cache=False)
    found = {
        path.removeprefix(f"{BUCKET}/dask/"): data for path, data in system.cat(system.find(f"{BUCKET}/dask")).items()
    }
    expected = {name: digest for name, digest in whole.items() if digest != "folder"}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == expected
    assert set(puts_of_shards(s3).values()) == {1}
    assert len(cluster.events.of("placed")) == len({path for path, _ in cluster.events.of("placed")}) > 10


def test_no_module_of_dask_is_needed_before_it_connects() -> None:
    script = "import sys, freqcache.engines; freqcache.engines.DaskEngine('x'); print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr

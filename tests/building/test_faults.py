"""Builds whose source, store or workers fail: one line that says why, and the same command finishes the same store."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from build_process import SMALL, among_own_mounts, command, everything, ledger, run, write_source

from freqcache.building import headers, making
from freqcache.building import run as run_module
from freqcache.progress import Progress
from freqcache.progress import progress as real_progress
from freqcache.sources import SourceFile
from freqcache.sources.folder import FolderReader
from freqcache_cli.main import main


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """The layout of ``small_build.py``, with which the builds in processes of their own run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(name, value)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("faults") / "photos", per_class=7)


@pytest.fixture(scope="module")
def whole(photos: Path) -> dict[str, str]:
    """What an undisturbed build makes."""
    out = photos.with_name("out.zarr")
    assert build(photos, out) == 0
    return everything(out)


@pytest.fixture
def source(photos: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(photos, tmp_path / "photos"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "out.zarr"


def build(source: Path, out: Path, workers: int = 1) -> int:
    return main(["build", str(source), str(out), "--quiet", "--workers", str(workers)])


def check_line(shown: str, *words: str) -> None:
    assert len(shown.splitlines()) == 1, shown
    assert all(word in shown for word in words), shown


def doing_first(name: str, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *, after: bool = False) -> None:
    """Do something once, before or after the first call of a function of the run."""
    home = next(module for module in (run_module, headers, making) if hasattr(module, name))
    real, done = getattr(home, name), []

    def call(*arguments: Any, **keywords: Any) -> Any:
        result = real(*arguments, **keywords) if after else None
        if not done:
            done.append(act())
        return result if after else real(*arguments, **keywords)

    monkeypatch.setattr(home, name, call)


def test_a_file_that_vanishes_is_in_the_ledger(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doing_first("plan_split", (source / "train" / "bee" / "2.jpg").unlink, monkeypatch)
    assert build(source, out) == 0
    assert capsys.readouterr().err == ""
    assert '"train/bee/2.jpg", "split": "train", "reason": "cannot be read: No such file' in ledger(out).read_text()


@pytest.mark.parametrize(
    ("moment", "folder", "workers"),
    [("list_source", ".", 1), ("list_source", "val/ant", 1), ("plan_split", ".", 1), ("plan_split", "val/ant", 2)],
)
def test_a_folder_that_vanishes_ends_the_build(
    source: Path,
    out: Path,
    whole: dict[str, str],
    moment: str,
    folder: str,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unmounted disk must not become a store of empty slots."""
    aside = source.with_name("aside")
    with monkeypatch.context() as patch:
        doing_first(moment, lambda: (source / folder).resolve().rename(aside), patch, after=True)
        assert build(source, out, workers) == 1
    check_line(capsys.readouterr().err, str(source), "has vanished")
    aside.rename((source / folder).resolve())
    assert build(source, out, workers) == 0
    assert everything(out) == whole


def test_a_file_that_can_be_read_again_changes_the_layout(
    source: Path, out: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size and time are the same, but shards made without it do not fit a plan that has it."""
    victim, real = source / "train" / "ant" / "0.jpg", headers.scan_files

    def refusing(reader: FolderReader, files: list[SourceFile], options: Any) -> list[Any]:
        scans = real(reader, files, options)
        return [
            "cannot be read: Permission denied" if reader.root / file.path == victim else scan
            for file, scan in zip(files, scans, strict=True)
        ]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(headers, "scan_files", refusing)
        patch.setattr(run_module, "write_split", stop)
        assert build(source, out) == 130
    assert list((out / ".build").glob("train-*.npz"))
    assert build(source, out) == 0
    assert everything(out) == whole


@pytest.mark.parametrize("stage", ["reading headers", "building"])
def test_a_worker_that_is_killed_ends_the_build(
    source: Path,
    out: Path,
    whole: dict[str, str],
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def killing(total: int, title: str, **keywords: Any) -> Iterator[Progress]:
        with real_progress(total, title, **keywords) as bar:
            if title == stage:
                update = bar.update

                def kill(n: int) -> None:
                    if workers := multiprocessing.active_children():
                        os.kill(workers[0].pid or 0, signal.SIGKILL)
                    update(n)

                bar.update = kill  # type: ignore[method-assign]
            yield bar

    with monkeypatch.context() as patch:
        patch.setattr(headers, "progress", killing)
        patch.setattr(making, "progress", killing)
        assert build(source, out, workers=2) == 1
    check_line(capfd.readouterr().err, str(out), "worker process died", "goes on from here")
    assert not multiprocessing.active_children()
    assert build(source, out, workers=2) == 0
    assert everything(out) == whole
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("locked", "begin_until"),
    [
        ("..", "plan_split"),  # the ledger's place
        (".build", "build_shard"),
        ("train", "write_split"),
    ],
)
def test_a_folder_that_may_not_be_written_ends_the_build(
    source: Path,
    out: Path,
    whole: dict[str, str],
    locked: str,
    begin_until: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        doing_first(begin_until, stop, patch)
        assert build(source, out) == 130
    capsys.readouterr()
    folder = (out / locked).resolve()
    folder.chmod(0o555)
    try:
        done = build_without_privileges(source, out)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 1
    check_line(done.stderr, str(out), "Permission denied", "goes on from here")
    assert build(source, out) == 0
    assert everything(out) == whole


def test_a_place_that_may_not_be_written_is_refused(source: Path, out: Path) -> None:
    out.parent.chmod(0o555)
    done = build_without_privileges(source, out)
    out.parent.chmod(0o755)
    assert done.returncode == 1
    check_line(done.stderr, str(out), "cannot be written: Permission denied")
    assert not list(out.parent.iterdir())


def test_a_read_only_disk_is_refused(source: Path, out: Path) -> None:
    prefix = among_own_mounts()
    if prefix is None:
        pytest.skip("nothing can be mounted here")
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    done = run([*prefix, "sh", "-c", script, str(out.parent), *command(source, out, size=None, workers=1)])
    assert done.returncode == 1
    check_line(done.stderr, str(out), "cannot be written: Read-only file system")


def build_without_privileges(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Run the small build as a user whom permissions bind; root they do not."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permissions do not bind root, and there is no setpriv to change that")
        prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    return run([*prefix, *command(source, out, size=None, workers=1)])

"""Builds and tasks by executors of concurrent.futures: process pools, thread pools, and ones made here."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from build_process import everything
from engines.executor_tasks import die, double, fail

import freqcache
from freqcache.engines import Engine, ExecutorEngine, engine_of
from freqcache.errors import BuildError
from freqcache.sources import list_source
from freqcache.workers import Pool, WorkerDiedError


class AtOnce(Executor):
    """Does each task when it is submitted, and fails as a test says: by the number of the submission."""

    def __init__(self, faults: dict[int, Exception] | None = None) -> None:
        self.faults = faults or {}
        self.submitted: list[Any] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        self.submitted.append(arguments[-1])
        future: Future[Any] = Future()
        fault = self.faults.get(len(self.submitted))
        try:
            if fault is not None:
                raise fault
            future.set_result(function(*arguments, **keywords))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class Never(Executor):
    """Begins nothing."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]


def spawning(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("size", [None, 48], ids=["native", "fixed"])
def test_threads_build_the_same_bytes(photos: Path, tmp_path: Path, out: Path, size: int | None) -> None:
    options = freqcache.BuildOptions(size=size)
    (tmp_path / "other").mkdir()
    freqcache.build(photos, tmp_path / "other" / "out.zarr", options, workers=1, quiet=True)
    with ThreadPoolExecutor(3) as executor:
        freqcache.build(photos, out, options, engine=executor, quiet=True)
        assert executor.submit(double, 1).result() == 2, "whoever made the executor shuts it down"
    assert everything(out) == everything(tmp_path / "other" / "out.zarr")


def test_processes_build_the_same_bytes_and_paths_may_be_relative(
    photos: Path, whole: dict[str, str], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are in another folder than the caller."""
    with spawning(2) as executor:
        list(executor.map(double, range(8)))
        monkeypatch.chdir(out.parent)
        freqcache.build(os.path.relpath(photos), "out.zarr", engine=executor, quiet=True)
    assert everything(out) == whole


def test_items_and_listed_trees(photos: Path, whole: dict[str, str], tmp_path: Path, out: Path) -> None:
    items = [freqcache.Item(data=path.read_bytes(), label=path.parent.name) for path in sorted(photos.rglob("*.png"))]
    with ThreadPoolExecutor(2) as executor:
        assert freqcache.build(items, tmp_path / "items.zarr", engine=executor, quiet=True).n_samples == len(items)
        freqcache.building.build_tree(list_source(photos), out, engine=executor, quiet=True)
    assert everything(out) == whole


def test_tasks_are_taken_as_there_is_room() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    for engine in (ExecutorEngine(AtOnce(), window=4), Pool(1)):
        taken.clear()
        results = engine.run(double, tasks())
        assert next(results) in range(10)
        assert len(taken) < 10
        assert len(list(results)) == 99


def test_a_local_pool_takes_tasks_as_there_is_room() -> None:
    taken = []
    with Pool(2) as pool:
        results = pool.run(double, (taken.append(number) or number for number in range(50)))
        first = next(results)
        assert len(taken) == 3
        assert sorted([first, *results]) == list(range(0, 100, 2))
    assert not list(Pool(2).run(double, iter(())))


@pytest.mark.parametrize("death", [BrokenExecutor("gone"), CancelledError()], ids=["broken", "cancelled"])
def test_a_task_whose_worker_died_is_submitted_again(death: Exception) -> None:
    executor = AtOnce({2: death, 4: death})
    assert sorted(ExecutorEngine(executor).run(double, [1, 2, 3])) == [2, 4, 6]
    assert len(executor.submitted) == 5


def test_a_task_that_kills_its_workers_is_given_up() -> None:
    executor = AtOnce(dict.fromkeys(range(2, 20), BrokenExecutor("gone")))
    with pytest.raises(WorkerDiedError, match="each of the 3 times its worker died"):
        list(ExecutorEngine(executor, window=1).run(double, [1, 2, 3]))
    assert executor.submitted == [1, 2, 2, 2]


def test_a_process_pool_that_breaks_ends_the_build(photos: Path, whole: dict[str, str], out: Path) -> None:
    with spawning(1) as executor:
        with pytest.raises(WorkerDiedError, match="died"):
            list(ExecutorEngine(executor).run(die, [1]))
        with pytest.raises(BuildError, match="worker of the executor fails: A child process terminated abruptly"):
            freqcache.build(photos, out, engine=executor, quiet=True)
    with ThreadPoolExecutor(2) as executor:
        freqcache.build(photos, out, engine=executor, quiet=True)
    assert everything(out) == whole


def test_an_error_of_a_task_ends_all_at_once() -> None:
    executor = AtOnce()
    engine = ExecutorEngine(executor, window=2)
    with pytest.raises(OSError, match="number 0"):
        list(engine.run(fail, iter(range(100))))
    assert len(executor.submitted) == 2


def test_an_interruption_cancels_what_waits() -> None:
    executor = Never()

    def tasks() -> Iterator[int]:
        yield from range(4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ExecutorEngine(executor) as engine:
        list(engine.run(double, tasks()))
    assert len(executor.futures) == 4
    assert all(future.cancelled() for future in executor.futures)


def test_another_release_is_refused_by_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ExecutorEngine(AtOnce())
    monkeypatch.setattr("freqcache.engines.executor.releases", lambda: {"freqcache": "0.0.1"})
    with pytest.raises(BuildError, match=r"has freqcache .* instead of 0.0.1"):
        list(engine.run(double, [1]))


def test_what_is_an_engine() -> None:
    assert isinstance(engine_of(None, 2), Pool)
    assert isinstance(engine_of(None, 2), Engine)
    engine = ExecutorEngine(AtOnce())
    assert engine_of(engine, None) is engine
    with pytest.raises(BuildError, match="expected an Engine or an executor"):
        engine_of("dask", None)  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="an engine has workers of its own"):
        engine_of(engine, 2)
    with pytest.raises(BuildError, match="expected at least 1"):
        engine_of(None, 0)

"""The thread that makes batches ahead: it ends with its iteration, however that ends, and errors keep their place.

Threads are joined with a guard: a thread that does not end fails its test, and one that does is not waited for.
"""

from __future__ import annotations

import gc
import multiprocessing as mp
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from visiting import flat, visit, visits

from freqcache import FrequencyDataset, FrequencyLoader
from freqcache.errors import StoreError
from freqcache.loading.prefetch import Prefetched

GUARD = 60.0
"""Seconds that are never waited for unless something is wrong."""

pytestmark = pytest.mark.usefixtures("small_portions")


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "freqcache-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    gc.collect()
    assert_ended(workers())
    yield
    gc.collect()
    assert_ended(workers())


def assert_ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(GUARD)
        assert not thread.is_alive()


def loader_of(dataset: FrequencyDataset, **options: Any) -> FrequencyLoader:
    return FrequencyLoader(dataset, 3, **({"shuffle": True, "window": 8, "access": "groups"} | options))


@pytest.fixture
def dataset(small: dict[str, FrequencyDataset]) -> FrequencyDataset:
    return small["fixed"]


def test_no_more_than_depth_are_made_ahead() -> None:
    made: list[int] = []
    waits = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            waits.release()
            yield number

    ahead = Prefetched(source(), 3)
    assert not made  # nothing before the first is asked for
    for number in range(20):
        assert next(ahead) == number
        # The one that was taken, and three more: wait until they are made.
        while len(made) < min(20, number + 4):
            assert waits.acquire(timeout=GUARD)
        assert len(made) <= number + 4
    with pytest.raises(StopIteration):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def test_an_error_comes_after_the_results_before_it() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        msg = "spoiled"
        raise StoreError(msg)

    ahead = Prefetched(source(), 2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StoreError, match="spoiled"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


@pytest.mark.parametrize("taken", [0, 1, 3])
@pytest.mark.parametrize("end", ["close", "del", "break"])
def test_an_abandoned_iteration_ends_its_thread(dataset: FrequencyDataset, taken: int, end: str) -> None:
    before = threading.active_count()
    batches = iter(loader_of(dataset))
    for _ in range(taken):
        next(batches)
    running = workers()
    assert len(running) == (taken > 0)
    if end == "close":
        batches.close()
        assert threading.active_count() == before
        with pytest.raises(StopIteration):
            next(batches)
        batches.close()
    elif end == "del":
        del batches
    else:
        for _ in batches:
            break
        del batches
    gc.collect()
    assert_ended(running)


def test_a_finished_iteration_ends_its_thread(dataset: FrequencyDataset) -> None:
    batches = iter(loader_of(dataset))
    next(batches)
    running = workers()
    assert len(list(batches)) == 9
    assert_ended(running)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("error", [KeyError, StopIteration, KeyboardInterrupt])
def test_an_error_of_the_transform_ends_the_iteration(
    dataset: FrequencyDataset, prefetch: int, error: type[BaseException]
) -> None:
    calls: list[int] = []

    def transform(batch: Any) -> Any:
        calls.append(len(batch))
        if len(calls) == 3:
            raise error
        return batch

    loader = loader_of(dataset, transform=transform, prefetch=prefetch)
    batches = iter(loader)
    first = [next(batches), next(batches)]
    with pytest.raises(RuntimeError if error is StopIteration else error) as caught:
        next(batches)
    assert not workers()  # though the traceback holds the iteration
    assert caught.traceback
    with pytest.raises(StopIteration):
        next(batches)
    # The batch that was not given is still to come.
    again = loader_of(dataset)
    again.load_state_dict(loader.state_dict())
    assert sorted(flat(visits(dataset, first)) + flat(visits(dataset, again))) == list(range(28))


@pytest.mark.parametrize("access", ["memory", "groups", "random"])
def test_two_iterations_at_once(dataset: FrequencyDataset, access: str) -> None:
    loader = loader_of(dataset, access=access)
    expected = visits(dataset, loader)
    loader.set_epoch(0)
    pairs = [(visit(dataset, one), visit(dataset, two)) for one, two in zip(loader, loader, strict=True)]
    assert pairs == [(batch, batch) for batch in expected]


@pytest.mark.parametrize("prefetch", [0, 1, 4])
@pytest.mark.parametrize("access", ["groups", "random"])
def test_an_error_of_reading_comes_as_itself_in_its_place(
    dataset: FrequencyDataset, prefetch: int, access: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = visits(dataset, loader_of(dataset, access=access))
    real, reads = FrequencyDataset.read, []

    def failing(self: FrequencyDataset, indices: np.ndarray, out: Any = None) -> Any:
        reads.append(len(indices))
        if len(reads) == 4:
            msg = "a chunk is damaged"
            raise StoreError(msg)
        return real(self, indices, out)

    monkeypatch.setattr(FrequencyDataset, "read", failing)
    loader = loader_of(dataset, access=access, prefetch=prefetch)
    batches, found = iter(loader), []
    with pytest.raises(StoreError, match="a chunk is damaged"):
        found.extend(batches)  # keeps what came before the error
    monkeypatch.undo()
    assert len(reads) == 4  # nothing after it
    assert found
    assert visits(dataset, found) == expected[: len(found)]
    assert loader.state_dict()["consumed"] == 3 * len(found)
    # The next iteration is not harmed.
    assert visits(dataset, loader) == expected


def _go_on(batches: Any, answer: Any) -> None:
    try:
        next(batches)
    except RuntimeError as error:
        answer.send(str(error))
    else:
        answer.send("a batch")
    batches.close()
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("taken", [0, 1])
def test_an_iteration_is_not_carried_through_a_fork(dataset: FrequencyDataset, taken: int) -> None:
    batches = iter(loader_of(dataset))
    for _ in range(taken):
        next(batches)
    context = mp.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_go_on, args=(batches, send))
    child.start()
    send.close()
    assert receive.poll(GUARD)
    assert receive.recv() == "this iteration began in another process; begin one here"
    child.join(GUARD)
    assert child.exitcode == 0
    assert len(list(batches)) == 10 - taken


SCRIPT = """
import sys
from freqcache import FrequencyDataset, FrequencyLoader
dataset = FrequencyDataset(sys.argv[1], split="all", channels="24")
batches = iter(FrequencyLoader(dataset, 2, shuffle=True, access=sys.argv[2], prefetch=3))
next(batches)
print("left", flush=True)
"""


@pytest.mark.parametrize("access", ["groups", "random"])
def test_the_interpreter_leaves_in_the_middle(dataset: FrequencyDataset, access: str) -> None:
    command = [sys.executable, "-W", "error", "-c", SCRIPT, dataset.cache_path, access]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=GUARD,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")

"""torch's DataLoader with the batch sampler: the loader's batches, and errors that reach the main process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader
from visiting import KINDS, visit, visits

from freqcache import FrequencyBatchSampler, FrequencyDataset, FrequencyLoader
from freqcache.batches import FrequencyBatch
from freqcache.dataset import collate
from freqcache.errors import StoreError

GUARD = 120
"""Seconds after which something is wrong; nothing waits for them."""

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

WORKERS = [(0, None), (2, "fork"), (2, "spawn")]


def dataloader(dataset: FrequencyDataset, sampler: FrequencyBatchSampler, workers: int, method: str | None) -> Any:
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context=method,
        timeout=GUARD if workers else 0,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("workers", "method"), WORKERS)
def test_batches_are_the_loaders(
    small: dict[str, FrequencyDataset], kind: str, workers: int, method: str | None
) -> None:
    dataset = small[kind]
    loader = FrequencyLoader(dataset, 5, shuffle=True, seed=3, access="groups", window=8)
    sampler = FrequencyBatchSampler(dataset, 5, shuffle=True, seed=3, window=8)
    batches = dataloader(dataset, sampler, workers, method)
    for epoch in (0, 1) if method != "spawn" else (0,):
        assert sampler.epoch == epoch
        found = list(batches)
        assert visits(dataset, found) == visits(dataset, loader)
        assert all(isinstance(batch, FrequencyBatch) == (kind == "native") for batch, _ in found)


@pytest.mark.parametrize(("workers", "method"), WORKERS[:2])
def test_a_run_goes_on_from_what_was_received(
    small: dict[str, FrequencyDataset], workers: int, method: str | None
) -> None:
    dataset = small["fixed"]

    def sampler() -> FrequencyBatchSampler:
        return FrequencyBatchSampler(dataset, 3, shuffle=True, seed=3, window=8)

    expected = list(sampler())
    stopped = sampler()
    batches = iter(dataloader(dataset, stopped, workers, method))
    assert [visit(dataset, batch) for batch in islice(batches, 4)] == expected[:4]
    state = stopped.state_dict(4)
    del batches
    again = sampler()
    again.load_state_dict(state)
    assert visits(dataset, dataloader(dataset, again, workers, method)) == expected[4:]
    assert again.epoch == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_without_a_batch_left_is_not_passed_over(small: dict[str, FrequencyDataset], workers: int) -> None:
    dataset = small["fixed"]
    sampler = FrequencyBatchSampler(dataset, 5, shuffle=True, drop_last=True)
    sampler.load_state_dict(sampler.state_dict() | {"consumed": 26})
    batches = dataloader(dataset, sampler, workers, "fork" if workers else None)
    assert list(batches) == []
    assert sampler.epoch == 1
    assert len(list(batches)) == 5
    assert sampler.epoch == 2


@pytest.mark.parametrize(("workers", "method"), WORKERS[:2])
def test_a_damaged_shard_is_an_error_of_the_main_process(
    small_stores: Path, tmp_path: Path, workers: int, method: str | None
) -> None:
    store = shutil.copytree(small_stores / "fixed.zarr", tmp_path / "fixed.zarr")
    dataset = FrequencyDataset(store, split="all", channels="24")
    shard = max(path for path in (store / "all" / "coefficients" / "c").rglob("*") if path.is_file())
    shard.write_bytes(shard.read_bytes()[:100])
    batches = iter(dataloader(dataset, FrequencyBatchSampler(dataset, 3, shuffle=False), workers, method))
    first = next(batches)
    assert visit(FrequencyDataset(small_stores / "fixed.zarr", split="all", channels="24"), first) == [0, 1, 2]
    with pytest.raises(StoreError) as caught:
        list(batches)
    assert str(shard) in str(caught.value)


def test_a_size_stacks_native_items(small_stores: Path) -> None:
    dataset = FrequencyDataset(small_stores / "native.zarr", split="all", channels="6", size=24)
    sampler = FrequencyBatchSampler(dataset, 5, shuffle=True, access="random")
    assert sorted(item for batch in visits(dataset, dataloader(dataset, sampler, 0, None)) for item in batch) == list(
        range(28)
    )


def test_native_samples_one_by_one_are_refused(small: dict[str, FrequencyDataset]) -> None:
    with pytest.raises(TypeError, match="samples of different grids cannot be stacked"):
        collate([small["native"][0], small["native"][1]])


def test_what_is_no_order_is_refused(small: dict[str, FrequencyDataset]) -> None:
    with pytest.raises(ValueError, match="access: expected groups or random, found 'memory'"):
        FrequencyBatchSampler(small["fixed"], 3, shuffle=True, access="memory")  # type: ignore[arg-type]


KILLED = """
import os, signal, sys
from torch.utils.data import DataLoader, get_worker_info
from freqcache import FrequencyBatchSampler, FrequencyDataset
from freqcache.dataset import collate

class Killed(FrequencyDataset):
    def __getitems__(self, indices):
        if 20 in indices:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitems__(indices)

if __name__ == "__main__":
    dataset = Killed(sys.argv[1], split="all", channels="24")
    sampler = FrequencyBatchSampler(dataset, 3, shuffle=False)
    batches = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, num_workers=2,
                         multiprocessing_context=sys.argv[2])
    n = 0
    try:
        for batch in batches:
            n += 1
    except (RuntimeError, ConnectionError, EOFError):  # the last two where a batch was on its way
        print("ended after", n)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_killed_worker_ends_the_epoch(small: dict[str, FrequencyDataset], tmp_path: Path, method: str) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), small["fixed"].cache_path, method]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD, env=environment)
    assert done.returncode == 0, done.stderr
    name, count = done.stdout.rsplit(maxsplit=1)
    assert name == "ended after"
    assert int(count) <= 6  # the batch of sample 20 is the seventh

"""Several ranks against one process: the same numbers, one message when one fails, and nothing where there is one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from photographs import write_tree
from torch import nn

import freqcache
from freqcache import FrequencyDataset, FrequencyLoader
from freqcache.errors import TrainingError
from freqcache.training import collectives, crossrank
from freqcache.training.crossrank import CrossRankBatchNorm2d, use_cross_rank_batchnorm
from freqcache.training.distributed import Ranks, process_group, ranks_from_environment
from freqcache.training.draws import Draws
from freqcache.training.parallel import buffers_from_main, data_parallel, gradient_sync

from .ranks_worker import FORMATS, LAYERS, ROWS, everything, network

WORKER = Path(__file__).with_name("ranks_worker.py")
SECONDS = 240
"""Of a whole job; a rank that waited for one that failed would take ten minutes."""

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
GOOD = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **more}


def torchrun(task: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, str(WORKER), task, str(folder)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks computed."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun("compute", folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """The same of one process."""
    return everything(Ranks())


def test_batchnorm_of_bfloat16_has_the_statistics_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under autocast; the other rank is one that has the same batch."""
    monkeypatch.setattr(crossrank, "world_size", lambda: 2)
    monkeypatch.setattr(crossrank.dist, "all_gather", lambda parts, own: [part.copy_(own) for part in parts])
    monkeypatch.setattr(crossrank, "sum_over_ranks", lambda tensor: 2 * tensor)
    ours, theirs = CrossRankBatchNorm2d(3), nn.BatchNorm2d(3)
    x = (torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)) + 20).bfloat16()
    leaf, other = x.clone().requires_grad_(), x.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(leaf)
    assert y.dtype == torch.bfloat16
    expected = theirs(other)
    torch.testing.assert_close(y.float(), expected, rtol=0.01, atol=0.01)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    y.float().square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(leaf.grad.float(), other.grad, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batchnorm_is_that_of_the_joint_batch(
    ranks: list[dict[str, Any]], alone: dict[str, Any], layer: str, memory_format: str, dtype: torch.dtype
) -> None:
    name = f"bn {layer} {dtype} {memory_format}"
    close = {"rtol": 1e-4, "atol": 2e-4} if dtype == torch.float32 else {"rtol": 1e-11, "atol": 1e-11}
    for key, expected in alone[name].items():
        parts = [rank[name][key] for rank in ranks]
        if key[0] in "xye":  # of this rank's rows
            for rank, part in enumerate(parts):
                torch.testing.assert_close(part, expected[ROWS[rank, 2]], **close)
        elif key.startswith("grad"):
            torch.testing.assert_close(parts[0] + parts[1], expected, **close)
        else:  # running statistics are the same on every rank, bit for bit
            assert torch.equal(*parts)
            torch.testing.assert_close(parts[0], expected, **close)


@pytest.mark.parametrize("batches", [1, 3])
def test_steps_are_those_of_one_process(ranks: list[dict[str, Any]], alone: dict[str, Any], batches: int) -> None:
    expected = alone[f"network {batches}"]
    for rank in ranks:
        found = rank[f"network {batches}"]
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, rtol=1e-8, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}"
            )
            assert torch.equal(found[key], ranks[0][f"network {batches}"][key])
    assert any(value.abs().max() > 1e-3 for key, value in expected.items() if key.startswith("grad gate"))
    network().load_state_dict({key: expected[key] for key in network().state_dict()})  # plain names


def test_data_parallel_keeps_outputs_and_starts_from_rank_0(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["passed"] for rank in ranks)
    assert first["kind"] == second["kind"] == "NetworkOutput"
    assert first["without"]
    assert second["without"]
    assert torch.equal(first["weight"], second["weight"])
    assert not torch.equal(first["not yet shared"], second["not yet shared"])
    assert first["shared"].any()
    assert torch.equal(first["shared"], second["shared"])
    assert not torch.equal(first["before"], second["before"])  # BatchNorm of each rank's own
    assert torch.equal(first["after"], second["after"])
    assert torch.equal(first["after"], first["before"])


def test_ranks_talk(ranks: list[dict[str, Any]]) -> None:
    for number, rank in enumerate(ranks):
        found = rank["talked"]
        assert found["sum"].tolist() == [3.0, 3e-12]
        assert found["count"].tolist() == [2**54 + 2]
        assert found["mean"].tolist() == [1.5, 1.5e-12]
        assert found["kept"][0] == number + 1
        assert found["object"] == {"path": "run-0"}
        assert found["differ"] == (
            "the configuration is not the same on all ranks: {'seed': 0} on rank 0, {'seed': 1} on rank 1"
        )


def test_batchnorm_without_values(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["lonely"]["empty"].shape == (4, 3, 1, 1)
    assert ranks[1]["lonely"]["empty"].shape == (0, 3, 1, 1)
    assert torch.equal(ranks[0]["lonely"]["mean"], ranks[1]["lonely"]["mean"])
    for rank in ranks:
        assert "expected more than one value per channel on all ranks, found 1" in rank["lonely"]["error"]


@pytest.mark.parametrize("task", ["one fails", "all fail"])
def test_a_failure_ends_the_job_with_one_message(task: str, tmp_path: Path) -> None:
    done = torchrun(task, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("Error: the cache is gone") == 1
    assert "lost the other ranks" not in done.stderr
    assert "done" not in done.stdout


def test_a_failure_ends_ranks_that_nobody_watches(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), "one fails", str(tmp_path)],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **group),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [3, 3]
    assert errors[0].startswith("Error: rank 0 lost the other ranks; where one failed, its own message says why (")
    assert errors[1] == "Error: the cache is gone\n"


def test_the_environment_says_which_rank_this_is() -> None:
    assert ranks_from_environment({}) == Ranks(rank=0, world_size=1, local_rank=0)
    assert ranks_from_environment(GOOD) == Ranks(rank=1, world_size=4, local_rank=1)
    assert ranks_from_environment({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}) == Ranks()
    assert Ranks().is_main
    assert not ranks_from_environment(GOOD).is_main
    assert torch.arange(8)[Draws(seed=0, epoch=0, step=0, images=8, rank=1, world_size=3).rows].tolist() == [1, 4, 7]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"RANK": None}, "RANK is missing"),
        ({"WORLD_SIZE": None}, "WORLD_SIZE is missing"),
        ({"LOCAL_RANK": None}, "LOCAL_RANK is missing"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is missing"),
        ({"MASTER_PORT": None}, "MASTER_PORT is missing"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is 'http', expected an integer of at least 1"),
        ({"RANK": "-1"}, "RANK is '-1', expected an integer of at least 0"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0', expected an integer of at least 1"),
        ({"RANK": "4"}, "RANK is 4 of WORLD_SIZE 4"),
        ({"LOCAL_RANK": "7"}, "LOCAL_RANK is 7 of WORLD_SIZE 4"),
        ({"RANK": "one", "LOCAL_RANK": ""}, "RANK is 'one', expected an integer of at least 0; LOCAL_RANK is ''"),
    ],
)
def test_an_environment_that_makes_no_sense(
    changes: dict[str, str | None], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**GOOD, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match="cannot tell which rank this is") as caught, process_group("cpu"):
        pass
    assert problem in str(caught.value)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(TrainingError, match="LOCAL_RANK is 1, but this machine has 1 CUDA devices"),
        process_group("cuda"),
    ):
        pass
    with pytest.raises(TrainingError, match="expected the device cpu or cuda, found 'auto'"), process_group("auto"):
        pass


def test_without_others_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in GOOD:
        monkeypatch.delenv(variable, raising=False)
    model = network()
    with process_group("cpu") as ranks:
        assert ranks == Ranks()
        assert not torch.distributed.is_initialized()
        assert use_cross_rank_batchnorm(model, "cpu") is model
        assert use_cross_rank_batchnorm(model, "cuda") is model
        assert data_parallel(model) is model
        with gradient_sync(model, enabled=False):
            pass
        buffers_from_main(model)
        tensor = torch.ones(2, requires_grad=True)
        assert collectives.sum_over_ranks(tensor) is tensor
        assert collectives.mean_over_ranks(tensor) is tensor
        assert collectives.broadcast_object(model) is model
        collectives.barrier()
        collectives.same_everywhere(lambda: None, "what cannot be pickled")
    with pytest.raises(ZeroDivisionError), process_group("cpu"):
        _ = 1 / 0


def test_cross_rank_batchnorm_alone_is_batchnorm() -> None:
    random = torch.Generator().manual_seed(0)
    ours, torchs = CrossRankBatchNorm2d(3), nn.BatchNorm2d(3)
    torchs.load_state_dict(ours.state_dict())
    for training in (True, False):
        x = torch.randn(4, 3, 2, 2, generator=random)
        assert torch.equal(ours.train(training)(x), torchs.train(training)(x))
    assert torch.equal(ours.running_var, torchs.running_var)


def test_batchnorm_of_other_shapes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freqcache.training.crossrank.world_size", lambda: 2)
    with pytest.raises(TrainingError, match="BatchNorm1d has none on the CPU"):
        use_cross_rank_batchnorm(nn.Sequential(nn.BatchNorm1d(3)), "cpu")
    converted = use_cross_rank_batchnorm(nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm2d(3)), "cuda")
    assert [type(layer) for layer in converted] == [nn.SyncBatchNorm, nn.SyncBatchNorm]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FrequencyDataset:
    """60 samples in row groups of 16."""
    folder = tmp_path_factory.mktemp("store")
    write_tree(folder / "photos", splits=(".",), per_class=30)
    options = freqcache.BuildOptions(size=40, exact=True)
    freqcache.build(folder / "photos", folder / "fixed.zarr", options, workers=1, quiet=True)
    return FrequencyDataset(folder / "fixed.zarr", split="all", channels="6")


@pytest.mark.parametrize("access", ["memory", "groups", "random"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batches_of_one_process(
    dataset: FrequencyDataset, access: Any, shuffle: bool, world_size: int
) -> None:
    batch_size = 8
    # The order depends on the lanes, so they must not follow the number of ranks, as they do by default.
    options = {"shuffle": shuffle, "seed": 3, "drop_last": True, "access": access, "lanes": 4, "window": 20}
    whole = FrequencyLoader(dataset, batch_size, **options)
    parts = [
        FrequencyLoader(dataset, batch_size // world_size, rank=rank, world_size=world_size, **options)
        for rank in range(world_size)
    ]
    assert {len(part) for part in parts} == {len(whole)} == {7}
    for epoch in range(2):
        for loader in (whole, *parts):
            loader.set_epoch(epoch)
        for (x, labels), *shares in zip(whole, *parts, strict=True):
            for rank, (own, own_labels) in enumerate(shares):
                assert torch.equal(own, x[rank::world_size])
                assert torch.equal(own_labels, labels[rank::world_size])

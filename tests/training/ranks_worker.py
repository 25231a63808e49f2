"""What several ranks compute, and the same for one process: run by test_distributed.py, as a script on each rank."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from freqcache.errors import TrainingError
from freqcache.gates import ChannelGate, GatedNetwork, gumbel_noise
from freqcache.models import create_model
from freqcache.training import collectives
from freqcache.training.crossrank import CrossRankBatchNorm2d, use_cross_rank_batchnorm
from freqcache.training.distributed import Ranks, process_group
from freqcache.training.draws import Draws
from freqcache.training.parallel import buffers_from_main, data_parallel, gradient_sync

ROWS = {(0, 1): slice(None), (0, 2): slice(2), (1, 2): slice(2, None)}
"""Rows of the joint batches of five that each rank of each world has: unequal shares."""

LAYERS = {
    "plain": {},
    "cumulative": {"momentum": None},
    "without parameters": {"affine": False},
    "without statistics": {"track_running_stats": False},
}
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def normalized(ranks: Ranks, layer: str, dtype: torch.dtype, memory_format: torch.memory_format) -> dict:
    """Return outputs, gradients and buffers of a BatchNorm layer after two batches of five, of this rank's rows."""
    random = generator()
    bn = nn.BatchNorm2d(3, **LAYERS[layer]).to(dtype)
    for parameter in bn.parameters():
        nn.init.normal_(parameter, generator=random)
    bn = use_cross_rank_batchnorm(bn, "cpu")
    assert (type(bn) is CrossRankBatchNorm2d) == (ranks.world_size > 1)
    rows, found = ROWS[ranks.rank, ranks.world_size], {}
    for step in range(2):
        # Far from 0 against the spread: what a difference of mean squares would not survive in float32.
        joint = (
            torch.randn(5, 3, 4, 2, generator=random, dtype=dtype) * 0.5 + torch.tensor([50.0, 0, -9])[:, None, None]
        )
        towards = torch.randn(5, 3, 4, 2, generator=random, dtype=dtype)
        x = joint[rows].to(dtype=dtype, memory_format=memory_format).requires_grad_()
        y = bn(x)
        (y * towards[rows]).square().sum().backward()
        found |= {f"y{step}": y.detach(), f"x{step}": x.grad}
    found |= {f"grad {name}": parameter.grad for name, parameter in bn.named_parameters()}
    if bn.track_running_stats:
        found["evaluated"] = bn.eval()(x).detach()
    return found | bn.state_dict()


def network(dtype: torch.dtype = torch.float64) -> GatedNetwork:
    torch.manual_seed(1)
    made = GatedNetwork(create_model("resnet18", in_channels=6, num_classes=3, width=0.125), ChannelGate(6))
    return made.to(dtype, memory_format=torch.channels_last)


class Noised(nn.Module):
    """A gated network whose noise is given."""

    def __init__(self, gated: GatedNetwork):
        super().__init__()
        self.gated = gated

    def forward(self, x, *, noise):
        gate = self.gated.gate(x, noise=noise)
        return gate._replace(x=self.gated.network(gate.x))


def trained(ranks: Ranks, *, batches: int) -> dict:
    """Return the gradients, statistics and weights of two steps, each of several batches of four a rank."""
    random, model = generator(), network()
    plain = list(model.state_dict())
    model = use_cross_rank_batchnorm(model, "cpu")
    assert list(model.state_dict()) == plain
    parallel = data_parallel(Noised(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    found, mine = {}, Draws(seed=0, epoch=0, step=0, images=8, rank=ranks.rank, world_size=ranks.world_size).rows
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        for number in range(batches):
            x = torch.randn(8, 6, 5, 5, generator=random, dtype=torch.float64)
            labels = torch.randint(3, (8,), generator=random)
            noise = gumbel_noise((8, 6, 2), generator=random).double()
            with gradient_sync(parallel, enabled=number == batches - 1):
                logits, gates, _ = parallel(x[mine], noise=noise[mine])
                loss = nn.functional.cross_entropy(logits, labels[mine]) + 0.1 * gates.sum(1).mean()
                (loss / batches).backward()
        optimizer.step()
    found |= {f"grad {name}": parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.eval()
    return found | model.state_dict() | {"logits": model(x).logits.detach()}


def passed_through(ranks: Ranks) -> dict:
    """Return what data_parallel makes of outputs, of keyword arguments, of a pass without sync, of local BatchNorm."""
    torch.manual_seed(ranks.rank)
    x, ungated, gated = torch.randn(4, 6, 5, 5), GatedNetwork(nn.Conv2d(6, 4, 1)), network(torch.float32)
    parallel = data_parallel(ungated)
    with gradient_sync(parallel, enabled=False):
        output = parallel(x, generator=torch.Generator())
        output.logits.square().sum().backward()
    found = {
        "weight": ungated.network.weight.detach(),
        "kind": type(output).__name__,
        "without": output.gates is None and output.probabilities is None,
        "not yet shared": ungated.network.weight.grad.clone(),
    }
    parallel = data_parallel(gated)
    parallel(x, generator=torch.Generator().manual_seed(0)).logits.square().sum().backward()
    found |= {"shared": gated.gate.conv.weight.grad, "before": gated.gate.bn.running_mean.clone()}
    buffers_from_main(gated)
    return found | {"after": gated.gate.bn.running_mean}


def talked(ranks: Ranks) -> dict:
    """Return what each of the collective functions returns."""
    mine = torch.tensor([1.0, 1e-12], dtype=torch.float64) * (ranks.rank + 1)
    found = {
        "sum": collectives.sum_over_ranks(mine),
        "count": collectives.sum_over_ranks(torch.tensor([2**53 + 1])),
        "mean": collectives.mean_over_ranks(mine),
        "kept": mine,
        "object": collectives.broadcast_object({"path": f"run-{ranks.rank}"}),
    }
    collectives.barrier()
    collectives.same_everywhere({"cache": "a"}, "the cache")
    try:
        collectives.same_everywhere({"cache": "a", "seed": ranks.rank}, "the configuration")
    except TrainingError as error:
        found["differ"] = str(error)
    return found


def lonely_statistics(ranks: Ranks) -> dict:
    """Return what BatchNorm says where ranks have nothing, or one value a channel between them."""
    bn = CrossRankBatchNorm2d(3).double()
    x = torch.randn(4, 3, 1, 1, generator=generator(), dtype=torch.float64)
    empty = bn(x[: 4 * (1 - ranks.rank)])
    try:
        bn(x[: 1 - ranks.rank])
    except ValueError as error:
        return {"empty": empty.detach(), "error": str(error), "mean": bn.running_mean}
    return {}


def everything(ranks: Ranks) -> dict:
    """Return all that can be compared with one process."""
    found = {
        f"bn {layer} {dtype} {name}": normalized(ranks, layer, dtype, memory_format)
        for layer in LAYERS
        for dtype in (torch.float32, torch.float64)
        for name, memory_format in FORMATS.items()
    }
    return found | {f"network {batches}": trained(ranks, batches=batches) for batches in (1, 3)}


def main(task: str, folder: str) -> None:
    with process_group("cpu") as ranks:
        with process_group("cpu") as again:  # as in a script that has made a group: used, and left alone
            assert again == ranks
        if task == "compute":
            found = everything(ranks)
            found |= {"passed": passed_through(ranks), "talked": talked(ranks), "lonely": lonely_statistics(ranks)}
    with process_group("cpu") as ranks:
        if task == "compute":
            torch.save(found, Path(folder) / f"{ranks.rank}.pt")
        if task == "all fail" or (task == "one fails" and ranks.rank == 1):
            msg = "the cache is gone"
            raise TrainingError(msg)
        collectives.barrier()
    print(f"rank {ranks.rank} done")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except TrainingError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(3)

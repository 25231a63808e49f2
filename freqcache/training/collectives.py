"""What ranks say to each other: sums, decisions, objects.

Every function must be called by all ranks, in the same order. Without a process group, or in one of a single process,
each returns at once what one process alone would get.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from freqcache.errors import TrainingError

T = TypeVar("T")

SHOWN: Final = 120
"""Characters of a value in a message."""


def world_size() -> int:
    """Return the number of ranks of the process group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of the ranks' tensors, the same bits on every rank.

    Parameters
    ----------
    tensor : Tensor
        Of the same shape and dtype on every rank, real or integer; left as it is.

    Returns
    -------
    Tensor
        On the device of `tensor`, without a gradient. `tensor` itself where there is one rank.
    """
    if world_size() == 1:
        return tensor
    total = _sendable(tensor.detach()).clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total.to(tensor.device)


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """Return the mean of the ranks' tensors: as :func:`sum_over_ranks`, for floating point."""
    return sum_over_ranks(tensor) / world_size() if world_size() > 1 else tensor


def broadcast_object(value: T) -> T:
    """Return the `value` of rank 0, which is pickled; those of other ranks are ignored."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def barrier() -> None:
    """Wait until every rank is here."""
    if world_size() > 1:
        dist.barrier()


def same_everywhere(value: Any, what: str) -> None:
    """Check that a value is the same on all ranks, which may be on machines with different files.

    Parameters
    ----------
    value : object
        Can be pickled, and compared by ``==`` to a bool. A dict's entries are compared one by one.
    what : str
        Its name in the message.

    Raises
    ------
    TrainingError
        On every rank, if two ranks differ.
    """
    if world_size() == 1:
        return
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    for rank, other in enumerate(values):
        if other != values[0]:
            mine, others = _differing(values[0], other)
            msg = f"{what} is not the same on all ranks: {mine} on rank 0, {others} on rank {rank}"
            raise TrainingError(msg)


def _differing(first: Any, second: Any) -> tuple[str, str]:
    """Return how to show two values that differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        missing = object()
        keys = [k for k in {**first, **second} if first.get(k, missing) != second.get(k, missing)]
        first, second = ({key: value[key] for key in keys if key in value} for value in (first, second))
    return _short(first), _short(second)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _sendable(tensor: Tensor) -> Tensor:
    """Return a tensor where the group can send it from: NCCL knows CUDA only."""
    return tensor.cuda() if dist.get_backend() == "nccl" else tensor

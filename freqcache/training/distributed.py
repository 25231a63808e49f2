"""Processes that train one run together: who each of them is, and the group in which they talk.

Started by torchrun (``python -m torch.distributed.run``), or by anything else that sets its variables: RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Without them there is one process, and nothing here does anything.
What the ranks say to each other is :mod:`freqcache.training.collectives`'s.

Where a rank fails, the first to do so says why, and its exit is what ends the job: torchrun terminates the others. They
notice too, as their connections close, but have nothing to add.

Source: https://docs.pytorch.org/docs/stable/elastic/run.html for the variables,
https://docs.pytorch.org/docs/stable/distributed.html for the rest.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

import torch
from torch import distributed as dist

from freqcache.errors import TrainingError

if TYPE_CHECKING:  # a torch without torch.distributed has no stores
    from torch.distributed.distributed_c10d import Store

TIMEOUT: Final = timedelta(minutes=10)
"""How long a rank waits for the others: longer than one of them works alone, as when it writes a checkpoint."""

GRACE_SECONDS: Final = 5.0
"""How long a rank that is not the first to fail waits for torchrun to end it, before it says so itself."""

_VARIABLES: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_WORLDS = count()


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Which process this is, of those that train together.

    Attributes
    ----------
    rank : int
        Of this process, 0 .. world_size - 1.
    world_size : int
        Number of processes, on all machines.
    local_rank : int
        Of this process among those of its machine: the number of its CUDA device.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which alone writes files and speaks."""
        return self.rank == 0


def ranks_from_environment(environment: Mapping[str, str] | None = None) -> Ranks:
    """Return what torchrun says about this process; one process alone if it says nothing.

    Parameters
    ----------
    environment : mapping of str to str, optional
        ``os.environ`` by default.

    Raises
    ------
    TrainingError
        If a variable is missing or makes no sense; the message names all of them.
    """
    given = os.environ if environment is None else environment
    if not any(name in given for name in _VARIABLES):
        return Ranks()
    problems: list[str] = []
    rank = _number(given, "RANK", 0, problems)
    world_size = _number(given, "WORLD_SIZE", 1, problems)
    local_rank = _number(given, "LOCAL_RANK", 0, problems)
    if not problems:
        problems += [
            f"{name} is {value} of WORLD_SIZE {world_size}"
            for name, value in (("RANK", rank), ("LOCAL_RANK", local_rank))
            if value >= world_size
        ]
    if world_size > 1:
        _number(given, "MASTER_PORT", 1, problems)
        if not given.get("MASTER_ADDR"):
            problems.append("MASTER_ADDR is missing")
    if problems:
        msg = "cannot tell which rank this is: " + "; ".join(problems) + "; start with torchrun, or unset them all"
        raise TrainingError(msg)
    return Ranks(rank=rank, world_size=world_size, local_rank=local_rank)


def _number(given: Mapping[str, str], name: str, least: int, problems: list[str]) -> int:
    """Return a variable, or else `least` and one more problem."""
    text = given.get(name)
    if text is None:
        problems.append(f"{name} is missing")
    elif not (text.isascii() and text.isdigit()) or int(text) < least:
        problems.append(f"{name} is {text!r}, expected an integer of at least {least}")
    else:
        return int(text)
    return least


@contextmanager
def process_group(device_name: str, *, timeout: timedelta = TIMEOUT) -> Iterator[Ranks]:
    """Join the other ranks, and leave them at the end.

    A group that the caller's own script has made is used, and left alone. The end waits for all ranks.

    Parameters
    ----------
    device_name : str
        ``"cpu"`` (gloo), or ``"cuda"`` (NCCL; the device of number `local_rank` becomes the current one).
    timeout : timedelta
        After so long without the others a rank gives up.

    Yields
    ------
    Ranks

    Raises
    ------
    TrainingError
        If the environment makes no sense, there is no such device, the others cannot be reached, or they are lost on
        the way. Errors of the body pass through; on all ranks but the first to fail they may be held back for
        `GRACE_SECONDS`, in which torchrun ends the process.
    """
    if device_name not in ("cpu", "cuda"):
        msg = f"expected the device cpu or cuda, found {device_name!r}"
        raise TrainingError(msg)
    ranks = ranks_from_environment()
    if dist.is_available() and dist.is_initialized():
        yield Ranks(rank=dist.get_rank(), world_size=dist.get_world_size(), local_rank=ranks.local_rank)
        return
    if ranks.world_size == 1:
        yield ranks
        return
    store = _join(ranks, device_name, timeout)
    leave = device_name != "cuda"
    try:
        yield ranks
        dist.barrier()
        leave = True
    except Exception as error:
        if not _is_first(store):
            _await_the_end()
        if _is_lost_connection(error):
            msg = (
                f"rank {ranks.rank} lost the other ranks; where one failed, its own message says why ({_reason(error)})"
            )
            raise TrainingError(msg) from error
        raise
    finally:
        # On the CPU this closes the connections, by which the others notice. NCCL would wait for collectives that the
        # others may never join; there the end of the process must do.
        if leave:
            dist.destroy_process_group()


def _join(ranks: Ranks, device_name: str, timeout: timedelta) -> Store:
    """Make the process group; return a store that all ranks share beside it."""
    if not dist.is_available():
        msg = f"WORLD_SIZE is {ranks.world_size}, but this torch was built without torch.distributed"
        raise TrainingError(msg)
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    device: torch.device | None = None
    if device_name == "cuda":
        if ranks.local_rank >= torch.cuda.device_count():
            msg = f"LOCAL_RANK is {ranks.local_rank}, but this machine has {torch.cuda.device_count()} CUDA devices"
            raise TrainingError(msg)
        device = torch.device("cuda", ranks.local_rank)
        torch.cuda.set_device(device)
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, _, _ = next(rendezvous("env://", ranks.rank, ranks.world_size, timeout=timeout))
        store.set_timeout(timeout)
        # torchrun's own store outlives a group: the next one must not find the addresses of the last.
        store = PrefixStore(f"freqcache/{next(_WORLDS)}", store)
        dist.init_process_group(
            "gloo" if device is None else "nccl",
            store=store,
            rank=ranks.rank,
            world_size=ranks.world_size,
            timeout=timeout,
            device_id=device,
        )
    except (RuntimeError, ValueError) as error:
        msg = f"rank {ranks.rank} of {ranks.world_size} cannot join the others at {where}: {_reason(error)}"
        raise TrainingError(msg) from error
    return store


def _is_first(store: Store) -> bool:
    """Whether no other rank has failed before this one."""
    try:
        return int(store.add("failed", 1)) == 1
    except RuntimeError:  # the rank that held the store is gone
        return False


def _await_the_end() -> None:
    """Wait for torchrun to end this process, where torchrun started it: the first to fail has said all there is."""
    if dist.is_torchelastic_launched():
        time.sleep(GRACE_SECONDS)


def _is_lost_connection(error: Exception) -> bool:
    # Gloo raises plain RuntimeErrors that begin with the place in its source.
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


def _reason(error: Exception) -> str:
    """Return an error's first sentence, without the place in torch's source that it may begin with."""
    return re.sub(r"^\[[^]]*\]\s*", "", str(error)).partition("\n")[0].partition(". ")[0]

"""Which items a rank visits, epoch by epoch, and where it stands: what the loader and the batch sampler share.

A position is a number of samples: those that all ranks together have had of an epoch. So it means the same at any
number of ranks and at any batch size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.dataset import FrequencyDataset
from freqcache.loading.order import ORDER_VERSION, Order, Positions, epoch_order, n_batches, share

Indices = npt.NDArray[np.integer[Any]]


@dataclass(kw_only=True, eq=False)
class Pass:
    """One iteration over an epoch, or over the rest of it.

    Attributes
    ----------
    epoch, start : int
        Where it began.
    lanes : int
        Of its order.
    n_batches : int
        Batches that it has.
    received : int
        Batches that it has given so far.
    """

    epoch: int
    start: int
    lanes: int
    n_batches: int
    received: int = 0


class Epochs:
    """The visits of one rank, and the state to go on from.

    Parameters
    ----------
    dataset, batch_size, shuffle, seed, drop_last, indices, rank, world_size, lanes, window
        See :class:`~freqcache.loading.loader.FrequencyLoader`.

    Attributes
    ----------
    order : str
        Of shuffled epochs: see :func:`freqcache.loading.order.epoch_order`.
    epoch : int
        That the next iteration visits; the one after, as soon as an iteration has given its last batch.

    Raises
    ------
    IndexError
        If an index is outside the dataset.
    ValueError
        If there are no samples, fewer than every rank needs, or a number is out of its range.
    """

    def __init__(
        self,
        dataset: FrequencyDataset,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        drop_last: bool,
        indices: Indices | None,
        rank: int,
        world_size: int,
        lanes: int | None,
        window: int,
    ) -> None:
        self.batch_size = whole("batch_size", batch_size, least=1)
        self.world_size = whole("world_size", world_size, least=1)
        self.lanes = self.world_size if lanes is None else whole("lanes", lanes, least=1)
        self.window = whole("window", window, least=1)
        self.seed = whole("seed", seed, least=0)
        self.rank = whole("rank", rank, least=0)
        if self.rank >= self.world_size:
            msg = f"rank: expected 0 to {self.world_size - 1}, found {rank}"
            raise ValueError(msg)
        self.dataset = dataset
        self.indices = _checked(indices, dataset)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.order: Order = "groups"
        self._lanes_given = lanes is not None
        self.epoch, self._start = 0, 0
        self._pass: Pass | None = None
        self._check_enough()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, which begins at its front.

        Choosing the epoch that is next anyway changes nothing, so a position restored by :meth:`load_state_dict` stays.
        """
        epoch = whole("epoch", epoch, least=0)
        if epoch != self.epoch:
            self.epoch, self._start, self._pass = epoch, 0, None

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch; an iteration from a restored position has fewer."""
        return self._count(0)

    def state_dict(self) -> dict[str, Any]:
        """Return where the iteration that was begun last stands, in numbers and strings.

        All ranks return the same, if they have received as many batches; one file is enough for all. After the last
        batch of an epoch it is the front of the next. Without `drop_last` that may be a batch earlier on other ranks
        than on rank 0, whose state holds for all.
        """
        return self._state(None)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration begin where another loader stood.

        The number of ranks, the batch size, and everything that only says how samples are read may differ from the
        other's. `lanes` is taken from the state unless it was given here.

        Raises
        ------
        ValueError
            If the state is of other samples or of another order, or is no state.
        """
        found: Any = state
        if not isinstance(found, Mapping):
            msg = f"state: expected what state_dict returns, found {found!r}"
            raise ValueError(msg)
        own = self._identity()
        missing = ({"epoch", "consumed"} | own.keys()) - state.keys()
        if missing:
            msg = f"state: it has no {', '.join(sorted(missing))}"
            raise ValueError(msg)
        least = {"epoch": 0, "consumed": 0, "lanes": 1}
        wrong = [name for name, n in least.items() if type(state[name]) is not int or state[name] < n]
        if wrong or state["consumed"] > len(self.indices):
            name = wrong[0] if wrong else "consumed"
            msg = f"state: its {name} is {state[name]!r}, of {len(self.indices)} samples"
            raise ValueError(msg)
        if not self._lanes_given:
            own["lanes"] = state["lanes"]
        for name, value in own.items():
            if state[name] != value:
                msg = f"state: its {name} is {state[name]!r}, here it is {value!r}"
                raise ValueError(msg)
        self.lanes = state["lanes"]
        self.epoch, self._start, self._pass = state["epoch"], state["consumed"], None

    def _identity(self) -> dict[str, Any]:
        """Return what a position depends on."""
        return {
            "version": ORDER_VERSION,
            "samples": len(self.indices),
            "digest": self._digest,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "order": self._order,
            "window": self.window,
            "lanes": self.lanes,
        }

    @cached_property
    def _digest(self) -> str:
        """What the samples are known by: of ten million, not to be worked out for every state."""
        digest = hashlib.blake2b(f"{self.dataset.cache_id}/{self.dataset.split}/".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.indices, dtype="<i8").data)
        return digest.hexdigest()

    @property
    def _order(self) -> Order:
        return self.order if self.shuffle else "stored"

    def _state(self, received: int | None) -> dict[str, Any]:
        """Return the state after some batches of the last pass; by default those that it has given."""
        last, (epoch, consumed) = self._pass, (self.epoch, self._start)
        if last is not None:
            batches = last.received if received is None else received
            epoch = last.epoch + (batches >= last.n_batches)
            consumed = 0 if epoch > last.epoch else last.start + batches * self.batch_size * self.world_size
        return self._identity() | {"epoch": epoch, "consumed": min(consumed, len(self.indices))}

    def _begin(self) -> Pass:
        """Begin an iteration, the one whose progress counts from now on."""
        left = self._count(self._start)
        self._pass = Pass(epoch=self.epoch, start=self._start, lanes=self.lanes, n_batches=left)
        return self._pass

    def _receive(self, visit: Pass, batches: int = 1) -> None:
        """Count batches that an iteration gives; none at its end, which an iteration without batches has too.

        Not when it begins: a DataLoader with workers begins two iterations of its sampler and drops the first.
        """
        visit.received += batches
        if visit is self._pass and visit.received >= visit.n_batches:
            self.epoch, self._start = visit.epoch + 1, 0

    def _visits(self, visit: Pass) -> Positions:
        """Return the items of an iteration, in order."""
        groups = self.dataset.row_groups[self.indices]
        order = epoch_order(
            groups, self._order, seed=self.seed, epoch=visit.epoch, lanes=visit.lanes, window=self.window
        )
        mine = share(order, consumed=visit.start, rank=self.rank, world_size=self.world_size)
        items: Positions = self.indices[mine[: visit.n_batches * self.batch_size]]
        return items

    def _count(self, consumed: int) -> int:
        left = len(self.indices) - consumed
        return n_batches(left, self.batch_size, rank=self.rank, world_size=self.world_size, drop_last=self.drop_last)

    def _check_enough(self) -> None:
        """Raise ValueError where an epoch of training would be empty, on this rank or on another."""
        least = self.world_size * (self.batch_size if self.drop_last else 1)
        if (self.shuffle or self.drop_last) and len(self.indices) < least:
            batches = f" with batches of {self.batch_size}" if self.drop_last else ""
            msg = f"{len(self.indices)} samples are too few for {self.world_size} ranks{batches}"
            raise ValueError(msg)


def whole(name: str, number: Any, *, least: int) -> int:
    """Return an argument as an int, which JSON has where it has no numpy integer.

    Raises
    ------
    ValueError
        If it is no integer, or less than `least`.
    """
    try:
        integer = index(number)
    except TypeError:
        integer = least - 1
    if integer < least:
        msg = f"{name}: expected an integer of at least {least}, found {number!r}"
        raise ValueError(msg)
    return integer


def _checked(indices: Indices | None, dataset: FrequencyDataset) -> Positions:
    """Return the items to visit, in the order of the store."""
    chosen = np.arange(len(dataset)) if indices is None else np.asarray(indices)
    if chosen.size == 0:
        msg = f"no samples: split {dataset.split!r} has {len(dataset)}, and none are chosen"
        raise ValueError(msg)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        msg = f"indices: expected a list of integers, found {chosen.dtype} of shape {chosen.shape}"
        raise ValueError(msg)
    outside = chosen[(chosen < 0) | (chosen >= len(dataset))]
    if len(outside):
        msg = f"index {outside[0]} is outside the {len(dataset)} samples of split {dataset.split!r}"
        raise IndexError(msg)
    items = chosen.astype(np.intp, copy=False)
    return items if indices is None else np.sort(items)

"""Sequences whose items are made as they are asked for, and kept by nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item", covariant=True)


class MadeSequence(Sequence[Item]):
    """A sequence that can make any run of its items: slices are tuples."""

    def _made(self, first: int, last: int) -> Iterable[Item]:
        """Make the items from `first` on, before `last`; both lie in the sequence, and `first` is not behind `last`."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            if step == 1:
                return tuple(self._made(first, max(first, last)))
            return tuple(self[i] for i in range(first, last, step))
        number = int(place) + len(self) * (place < 0)
        if not 0 <= number < len(self):
            msg = f"item {place} of {len(self)}"
            raise IndexError(msg)
        (item,) = self._made(number, number + 1)
        return item

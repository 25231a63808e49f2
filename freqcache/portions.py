"""Cuts what is read into portions that memory has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def portions(
    items: Iterable[Item], size: Callable[[Item], int], most: int, count: int | None = None
) -> Iterator[list[Item]]:
    """Yield items in order, some at a time.

    Parameters
    ----------
    items : iterable
        Each is in one portion.
    size : callable
        Returns the bytes of an item.
    most : int
        Bytes of a portion; a single item may have more.
    count : int, optional
        Items of a portion, at most.
    """
    portion: list[Item] = []
    held = 0
    for item in items:
        own = size(item)
        if portion and (held + own > most or len(portion) == count):
            yield portion
            portion, held = [], 0
        portion.append(item)
        held += own
    if portion:
        yield portion

"""What a pass may read, and in which order: whole row groups, or single samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Items = npt.NDArray[np.intp]
"""Positions in a dataset."""


def units_of(row_groups: npt.NDArray[np.intp], order: str, most: int, *, seed: int, once: bool = False) -> list[Items]:
    """Return what a pass may read, the first first: whole row groups, or single samples.

    Parameters
    ----------
    row_groups : (samples,) intp
        Row group of each item, not falling.
    order : str
        ``"stored"``: row groups from the front; ``"groups"``: in random order; ``"samples"``: single items, first one
        of each row group, then a second of each, always in random order.
    most : int
        Items in all units together, at most, but for the first unit.
    seed : int
        Of the order.
    once : bool
        For ``"samples"``: one of each row group only, so that no chunk is read twice.
    """
    generator = np.random.default_rng(seed)
    groups = np.split(np.arange(len(row_groups)), np.flatnonzero(np.diff(row_groups)) + 1)
    if order == "samples":
        key = generator.permutation(len(row_groups))
        mixed = np.lexsort((key, row_groups))  # inside each row group in random order
        starts = np.cumsum([0, *map(len, groups[:-1])])
        rank = np.arange(len(row_groups)) - np.repeat(starts, list(map(len, groups)))
        chosen = mixed[np.lexsort((key[mixed], rank))][: min(most, len(groups) if once else most)]
        return list(chosen[:, None])
    if order == "groups":
        groups = [groups[i] for i in generator.permutation(len(groups))]
    fit = int(np.searchsorted(np.cumsum([len(group) for group in groups]), most, side="right"))
    return groups[: max(1, fit)]

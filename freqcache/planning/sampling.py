"""Which files of a source stand for all of them, and for how many each.

A listing knows the size of every file, and bytes and time of a build follow the size. So files are sorted by kind and
size and drawn systematically: one of every interval along that order, from a random start, so that every size is
represented as it occurs. Drawing large files more often looks better on paper and is not: the bytes of a row group
are then divided among images of unlike weights, and totals were 4 % too small (``docs/planning.md``). No file is opened
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.sources import SourceFile, SourceTree
from freqcache.sources.folder import suffix_of
from freqcache.sources.tree import UNSPLIT

_JPEG: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})

Float = npt.NDArray[np.float64]
Whole = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """What a listing says of all files, in its order.

    Attributes
    ----------
    sizes : (files,) float64
        Bytes.
    kinds : (files,) intp
        Index into `names`.
    names : tuple of str
        Kinds by the endings of files, all of JPEG's being one.
    """

    sizes: Float
    kinds: Whole
    names: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> Population:
        """Return the population of a listing."""
        sizes, kinds = np.empty(len(files)), np.empty(len(files), dtype=np.intp)
        found: dict[str, int] = {}  # by kind, in the order in which they come
        for i, file in enumerate(files):
            ending = suffix_of(file.path).lower()
            kind = "jpeg" if ending in _JPEG else ending.removeprefix(".") or "none"
            sizes[i], kinds[i] = file.size, found.setdefault(kind, len(found))
        names = sorted(found)
        place = np.argsort(np.argsort(np.array(list(found)))) if found else np.zeros(0, dtype=np.intp)
        return cls(sizes=sizes, kinds=place[kinds], names=tuple(names))

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Files that stand for all.

    Attributes
    ----------
    numbers : (n,) intp
        Their places in the listing, in the order in which they were drawn: by kind, then by size.
    weights : (n,) float64
        How many files each stands for, itself included; at least 1.
    """

    numbers: Whole
    weights: Float

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left to chance."""
        return bool(np.all(self.weights == 1))


def draw(population: Population, count: int, seed: int) -> Sample:
    """Draw a sample.

    Parameters
    ----------
    population : Population
        At least one file.
    count : int
        Files to draw; all of them where there are no more.
    seed : int
        Decides the start.
    """
    order = np.lexsort((population.sizes, population.kinds))
    if count >= len(population):
        return Sample(numbers=order.astype(np.intp), weights=np.ones(len(order)))
    every = len(order) / count
    places = ((np.random.default_rng(seed).random() + np.arange(count)) * every).astype(np.intp)
    return Sample(numbers=order[places].astype(np.intp), weights=np.full(count, every))


def sampled_tree(tree: SourceTree, files: Sequence[SourceFile]) -> SourceTree:
    """Return the source with these of its files alone, in one split, so that they fill row groups together."""
    return replace(tree, splits={UNSPLIT: tuple(files)}, ignored=0, empty_folders=())

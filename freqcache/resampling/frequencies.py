"""Which frequencies a resampling reads and gives, laid out for the kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from freqcache.dct import dct_matrix
from freqcache_formats.channels import N_COMPONENTS, ZIGZAG_TO_NATURAL
from freqcache_formats.mask import ChannelMask

Integers = npt.NDArray[np.int64]

_KEPT = 64


class Frequencies(NamedTuple):
    """What the kernel needs to know of the channels read and wanted; all arrays are read-only.

    Attributes
    ----------
    n_read : (3,) int64
        Frequencies held of each component.
    place : (3, 8, 8) int64
        [component, u, v]: where a frequency lies among those held, -1 where it is not.
    n_vertical : (3, 8) int64
        For each u, one more than the highest v held; 0 if none is.
    n_horizontal : (3,) int64
        One more than the highest u held.
    n_out : (3, 2) int64
        Vertical and horizontal frequencies wanted: the outputs of each pass.
    basis : (3, 2, 8, 8) float64
        [component, axis, sample, output]: rows of the DCT for those, zeros for unused outputs.
    n_pairs : (3, 8) int64
        For each vertical output, one more than the last horizontal output wanted together with it.
    shared : (3, 2) int64
        A component with a lower number whose outputs along the axis begin with this one's; else itself.
    channels : (channels, 3) int64
        Component, vertical output and horizontal output of each channel wanted.
    """

    n_read: Integers
    place: Integers
    n_vertical: Integers
    n_horizontal: Integers
    n_out: Integers
    basis: npt.NDArray[np.float64]
    n_pairs: Integers
    shared: Integers
    channels: Integers


@lru_cache(maxsize=_KEPT)
def frequencies(held: tuple[int, ...], wanted: tuple[int, ...]) -> Frequencies:
    """Lay out the channels held by a batch and those wanted of it, given as storage indices."""
    place = np.full((N_COMPONENTS, 8, 8), -1, dtype=np.int64)
    n_read = np.zeros(N_COMPONENTS, dtype=np.int64)
    for component, v, u in _split(held):
        place[component, u, v] = n_read[component]
        n_read[component] += 1
    there = place >= 0
    outputs = _outputs(wanted)
    basis = np.zeros((N_COMPONENTS, 2, 8, 8))
    for component, axes in enumerate(outputs):
        for axis, chosen in enumerate(axes):
            basis[component, axis, :, : len(chosen)] = dct_matrix()[list(chosen)].T
    channels = np.array(
        [(c, outputs[c][0].index(v), outputs[c][1].index(u)) for c, v, u in _split(wanted)], dtype=np.int64
    )
    n_pairs = np.zeros((N_COMPONENTS, 8), dtype=np.int64)
    np.maximum.at(n_pairs, (channels[:, 0], channels[:, 1]), channels[:, 2] + 1)
    plan = Frequencies(
        n_read=n_read,
        place=place,
        n_vertical=((np.arange(8) + 1) * there).max(axis=2),
        n_horizontal=((np.arange(8) + 1) * there.any(axis=2)).max(axis=1),
        n_out=np.array([[len(chosen) for chosen in axes] for axes in outputs], dtype=np.int64),
        basis=basis,
        n_pairs=n_pairs,
        shared=np.array([[_sharing(outputs, c, axis) for axis in (0, 1)] for c in range(N_COMPONENTS)]),
        channels=channels,
    )
    for array in plan:
        array.setflags(write=False)
    return plan


def layout(held: ChannelMask, wanted: ChannelMask) -> Frequencies:
    """Lay out the channels held by a batch and those wanted of it."""
    return frequencies(tuple(held.indices.tolist()), tuple(wanted.indices.tolist()))


def _split(indices: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return component, v and u of storage indices."""
    return [(i // 64, *divmod(int(ZIGZAG_TO_NATURAL[i % 64]), 8)) for i in indices]


def _outputs(wanted: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return the v and the u wanted of each component, increasing."""
    chosen = _split(wanted)
    return [
        (sorted({v for c, v, _ in chosen if c == component}), sorted({u for c, _, u in chosen if c == component}))
        for component in range(N_COMPONENTS)
    ]


def _sharing(outputs: list[tuple[list[int], list[int]]], component: int, axis: int) -> int:
    mine = outputs[component][axis]
    for other in range(component):
        theirs = outputs[other][axis]
        if mine and theirs[: len(mine)] == mine:
            return other
    return component

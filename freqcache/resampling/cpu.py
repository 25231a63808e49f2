"""Resampling of a batch in main memory, by threads: checks what the kernel takes for granted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.dct import dct_matrix
from freqcache.resampling.frequencies import Frequencies
from freqcache.resampling.kernel import resample
from freqcache.store.threads import run_all

Float32Array = npt.NDArray[np.float32]

_PIECES_A_THREAD = 4


def resample_arrays(
    parts: Sequence[Sequence[npt.NDArray[Any]]],
    *,
    part: npt.NDArray[np.intp],
    starts: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int32],
    sampling: npt.NDArray[np.uint8],
    steps: Float32Array,
    axes: npt.NDArray[Any],
    plan: Frequencies,
    scale: Float32Array,
    offset: Float32Array,
    out: Float32Array,
    threads: int = 1,
) -> None:
    """Resample all images of a batch.

    Parameters
    ----------
    parts, part, starts, blocks, sampling
        As in :class:`freqcache.batches.FrequencyBatch`; three arrays of one dtype each.
    steps : (images, 3, 8, 8) float32
        [image, component, u, v].
    axes : (images, 3, 2) AXIS
        :meth:`freqcache.resampling.geometry.Crops.axes`.
    plan : Frequencies
        Of the channels held and wanted.
    scale, offset : (images or 1, channels) float32
        The results are ``scale * coefficients + offset``.
    out : (images, block rows, block columns, channels) float32, C-contiguous
        Filled.
    threads : int
        Threads that share the images.

    Raises
    ------
    ValueError
        If the parts do not fit together, or a box reaches so far beyond its image that an output has no source.
    """
    images = len(starts)
    present = sampling[:, :, 0] > 0
    sizes = blocks.astype(np.int64).prod(axis=2) * plan.n_read * present
    same = len(blocks) == len(sampling) == len(steps) == len(axes) == len(out) == len(part) == images
    lengths = np.array([[len(flat) for flat in flats] for flats in parts])
    if not same or (images and not 0 <= part.min() <= part.max() < len(parts)):
        msg = f"the batch of {images} images is inconsistent: its arrays differ in length, or parts are missing"
        raise ValueError(msg)
    outside = present & (sizes > 0) & ((starts < 0) | (starts + sizes > lengths[part]))
    if outside.any():
        msg = f"the batch is inconsistent: blocks of image {np.argwhere(outside)[0, 0]} lie outside its arrays"
        raise ValueError(msg)
    if not (out.flags.c_contiguous and out.shape[3] == scale.shape[1] == offset.shape[1] == len(plan.channels)):
        msg = f"expected C-contiguous output and factors of {len(plan.channels)} channels, found shape {out.shape}"
        raise ValueError(msg)
    if not {len(scale), len(offset)} <= {1, images}:
        msg = f"expected factors of 1 or {images} images, found {len(scale)} and {len(offset)}"
        raise ValueError(msg)
    if images == 0:
        return
    failed: list[int] = []
    geometry = (starts, np.ascontiguousarray(blocks), np.ascontiguousarray(sampling), steps, axes)

    def run(flats: Sequence[npt.NDArray[Any]], numbers: npt.NDArray[np.int64]) -> None:
        image = resample(numbers, tuple(flats), *geometry, plan, dct_matrix(), scale, offset, out)
        if image >= 0:
            failed.append(image)

    work = []
    for k, flats in enumerate(parts):
        numbers = np.flatnonzero(part == k).astype(np.int64)
        pieces = min(len(numbers), 1 if threads == 1 else threads * _PIECES_A_THREAD)
        work += [partial(run, flats, piece) for piece in np.array_split(numbers, pieces)] if pieces else []
    run_all(work, threads)
    if failed:
        image = min(failed)
        msg = f"a box reaches too far beyond the {axes[image]['high'].max()} samples of image {image}"
        raise ValueError(msg)

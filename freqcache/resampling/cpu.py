"""Resampling of a batch in main memory, by threads: checks what the kernel takes for granted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.dct import dct_matrix
from freqcache.resampling.frequencies import Frequencies
from freqcache.resampling.kernel import resample
from freqcache.store.threads import run_all

Float32Array = npt.NDArray[np.float32]

_PARTS_A_THREAD = 4


def resample_arrays(
    flats: Sequence[npt.NDArray[Any]],
    *,
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
    flats, starts, blocks, sampling
        As in :class:`freqcache.batches.FrequencyBatch`; three arrays of one dtype.
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
    lengths = np.array([len(flat) for flat in flats])
    outside = present & (sizes > 0) & ((starts < 0) | (starts + sizes > lengths))
    if outside.any() or not len(blocks) == len(sampling) == len(steps) == len(axes) == len(out) == images:
        msg = f"the batch of {images} images is inconsistent: parts lie outside its arrays, or arrays differ in length"
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

    def run(begin: int, end: int) -> None:
        arrays = (starts, np.ascontiguousarray(blocks), np.ascontiguousarray(sampling), steps, axes)
        image = resample(begin, end, tuple(flats), *arrays, plan, dct_matrix(), scale, offset, out)
        if image >= 0:
            failed.append(image)

    parts = min(images, 1 if threads == 1 else threads * _PARTS_A_THREAD)
    cuts = np.linspace(0, images, parts + 1).astype(int)
    run_all([partial(run, int(a), int(b)) for a, b in pairwise(cuts)], threads)
    if failed:
        image = min(failed)
        msg = f"a box reaches too far beyond the {axes[image]['high'].max()} samples of image {image}"
        raise ValueError(msg)

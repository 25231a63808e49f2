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
_DTYPES = {np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.float32)}


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
    _check_flats(parts)
    same = len(blocks) == len(sampling) == len(steps) == len(axes) == len(out) == len(part) == images
    if not same or (images and not 0 <= part.min() <= part.max() < len(parts)):
        msg = f"the batch of {images} images is inconsistent: its arrays differ in length, or parts are missing"
        raise ValueError(msg)
    if out.dtype != np.float32 or not (
        out.flags.c_contiguous and out.shape[3] == scale.shape[-1] == offset.shape[-1] == len(plan.channels)
    ):
        msg = f"expected C-contiguous float32 for {len(plan.channels)} channels, found {out.dtype} of {out.shape}"
        raise ValueError(msg)
    for factors in (scale, offset):
        if factors.ndim != 2 or factors.dtype != np.float32 or len(factors) not in {1, images}:
            msg = f"expected float32 factors of 1 or {images} images, found {factors.dtype} of shape {factors.shape}"
            raise ValueError(msg)
    if threads < 1:
        msg = f"threads: expected at least 1, found {threads}"
        raise ValueError(msg)
    if images == 0:
        return
    _check_places(parts, part, starts, blocks, sampling, plan)
    failed: list[int] = []
    geometry = (starts, np.ascontiguousarray(blocks), np.ascontiguousarray(sampling), steps, axes)

    def run(flats: Sequence[npt.NDArray[Any]], numbers: npt.NDArray[np.int64]) -> None:
        image = resample(
            numbers, tuple(_read_only(flat) for flat in flats), *geometry, plan, dct_matrix(), scale, offset, out
        )
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


def _check_flats(parts: Sequence[Sequence[npt.NDArray[Any]]]) -> None:
    """Raise ValueError for arrays that the kernel, which reads by address, would take for others."""
    flats = [flat for flats in parts for flat in flats]
    kinds = {flat.dtype for flat in flats}
    if len(kinds) != 1 or not kinds <= _DTYPES:
        found = ", ".join(sorted(str(kind) for kind in kinds))
        msg = f"expected coefficients of one dtype, int8, int16 or float32, found {found or 'none'}"
        raise ValueError(msg)
    for flat in flats:
        if flat.ndim != 1 or not flat.flags.c_contiguous:
            msg = f"expected flat, contiguous coefficients, found shape {flat.shape} with strides {flat.strides}"
            raise ValueError(msg)


def _check_places(
    parts: Sequence[Sequence[npt.NDArray[Any]]],
    part: npt.NDArray[np.intp],
    starts: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int32],
    sampling: npt.NDArray[np.uint8],
    plan: Frequencies,
) -> None:
    """Raise ValueError if an image's blocks are not all inside its arrays; no product here can overflow."""
    lengths = np.array([[len(flat) for flat in flats] for flats in parts])[part]
    room = lengths // np.maximum(plan.n_read, 1)
    rows, columns = blocks[..., 0].astype(np.int64), blocks[..., 1].astype(np.int64)
    inside = (rows >= 0) & (columns >= 0) & (rows <= room // np.maximum(columns, 1))
    sizes = np.where(inside, rows * columns, 0) * plan.n_read
    inside &= (starts >= 0) & (starts <= lengths - sizes)
    outside = (sampling[:, :, 0] > 0) & (plan.n_read > 0) & ~inside
    if outside.any():
        msg = f"the batch is inconsistent: blocks of image {np.argwhere(outside)[0, 0]} lie outside its arrays"
        raise ValueError(msg)


def _read_only(flat: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to: one type of array for the kernel, one compilation."""
    view = flat.view()
    view.flags.writeable = False
    return view

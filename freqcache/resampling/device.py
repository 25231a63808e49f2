"""Resampling of a batch as torch operations, on any device: the same operator as :mod:`freqcache.resampling.kernel`.

Every image's bands are computed at once, and so are the products; only the first block and the width of each band,
which decide shapes, are computed in main memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from freqcache.dct import dct_matrix
from freqcache.resampling.bands import place_bands
from freqcache.resampling.frequencies import Frequencies
from freqcache_formats.channels import N_FREQUENCIES

_MOST_COEFFICIENTS = 1 << 26
"""Of images that are resampled at a time, padded to the largest: 768 MiB for their numbers and places."""

_PARAMETERS = ("ratio", "box", "scale")
_COUNTS = ("n_true", "low", "high", "start", "n_out", "flip")


class _Bands(NamedTuple):
    """Bands of one axis of a batch.

    Attributes
    ----------
    first : (images, blocks_out) int64
        First source block, counted from `begin`.
    matrices : (images, blocks_out, outputs, width, 8) float32
        [image, output block, output, source block, frequency in].
    begin : (images,) int64
        First source block of all.
    extent : int
        Source blocks from `begin` on that some image needs.
    """

    first: Tensor
    matrices: Tensor
    begin: Tensor
    extent: int


def resample_tensors(
    flats: tuple[Tensor, ...],
    *,
    starts: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int32],
    sampling: npt.NDArray[np.uint8],
    steps: Tensor,
    axes: npt.NDArray[Any],
    plan: Frequencies,
    grid: tuple[int, int],
) -> Tensor:
    """Return the wanted coefficients, dequantized.

    Parameters
    ----------
    flats, starts, blocks, sampling
        As in :class:`freqcache.batches.FrequencyBatch`.
    steps : (images, 3, 8, 8) float32 tensor
        [image, component, u, v]; on the device of the coefficients.
    axes : (images, 3, 2) AXIS
        :meth:`freqcache.resampling.geometry.Crops.axes`.
    plan : Frequencies
        Of the channels held and wanted.
    grid : (int, int)
        Block rows and columns of the output.

    Returns
    -------
    (images, channels, block_rows, block_cols) float32 tensor

    Raises
    ------
    ValueError
        If a box reaches so far beyond its image that some output has no source.
    """
    device = steps.device
    out = torch.zeros((len(starts), len(plan.channels), *grid), dtype=torch.float32, device=device)
    for component in range(3):
        chosen = np.flatnonzero(plan.channels[:, 0] == component)
        present = np.flatnonzero(sampling[:, component, 0] > 0)
        if len(chosen) == 0 or plan.n_read[component] == 0:
            continue
        places = torch.from_numpy(chosen).to(device)
        pairs = torch.from_numpy(plan.channels[chosen, 1:]).to(device)
        for here in _of_like_size(present, axes[:, component], grid):
            images = torch.from_numpy(here).to(device)
            part = _Part(
                flat=flats[component],
                start=torch.from_numpy(starts[here, component]).to(device),
                blocks=torch.from_numpy(blocks[here, component].astype(np.int64)).to(device),
                steps=steps[images, component],
            )
            result = _resampled(part, axes[here, component], plan, component, grid)  # (n, I, Ku, J, Kv)
            picked = result[:, :, pairs[:, 1], :, pairs[:, 0]]  # (channels, n, I, J)
            out[images[:, None], places[None, :]] = picked.permute(1, 0, 3, 2)
    return out


def _of_like_size(
    present: npt.NDArray[np.intp], axes: npt.NDArray[Any], grid: tuple[int, int]
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield images of like size together, as many as may be padded to the largest of them."""
    extents = []
    for axis in (0, 1):
        first, widths = place_bands(np.ascontiguousarray(axes[present, axis]), grid[axis])
        extents.append(first.max(axis=1) - first.min(axis=1) + widths)
    areas = extents[0] * extents[1]
    order = np.argsort(areas, kind="stable")
    begin = 0
    while begin < len(order):
        # The last of a group is its largest; sides of like areas are of like length.
        counts = np.arange(1, len(order) - begin + 1)
        fits = int((counts * areas[order[begin:]] * N_FREQUENCIES <= _MOST_COEFFICIENTS).sum())
        end = begin + max(1, fits)
        yield np.sort(present[order[begin:end]])
        begin = end


def _resampled(part: _Part, axes: npt.NDArray[Any], plan: Frequencies, component: int, grid: tuple[int, int]) -> Tensor:
    """Return a component of some images: (images, block columns, horizontal outputs, block rows, vertical outputs)."""
    device = part.flat.device
    vertical, horizontal = (_bands(axes[:, axis], plan, component, axis, grid[axis], device) for axis in (0, 1))
    source = _window(part, vertical, horizontal, plan, component)  # (n, rows, v, columns * u)
    n, columns, n_u = len(source), horizontal.extent, source.shape[3] // horizontal.extent
    turned = _apply(vertical, source)  # (n, J, Kv, columns * u)
    turned = turned.view(n, *turned.shape[1:3], columns, n_u).permute(0, 3, 4, 1, 2)
    result = _apply(horizontal, turned.reshape(n, columns, n_u, -1))  # (n, I, Ku, J * Kv)
    return result.view(n, grid[1], result.shape[2], grid[0], -1)


class _Part(NamedTuple):
    flat: Tensor
    start: Tensor
    blocks: Tensor
    steps: Tensor


def _bands(
    axes: npt.NDArray[Any], plan: Frequencies, component: int, axis: int, n_blocks: int, device: torch.device
) -> _Bands:
    """Compute the bands of one axis of one component of all images."""
    axes = axes.copy()
    whole = axes["whole"] >= 0
    # Whole blocks are moved as they are, padding included: as if the image filled its blocks.
    axes["n_out"][whole] = 8 * n_blocks
    axes["high"][whole] = axes["n_true"][whole] = 8 * axes["n_blocks"][whole]
    first, widths = place_bands(axes, n_blocks)
    if (widths == 0).any():
        msg = f"a box reaches too far beyond the {axes['high'].max()} samples of an image"
        raise ValueError(msg)
    width = int(widths.max())
    begin = first.min(axis=1)
    extent = int((first.max(axis=1) - begin).max()) + width
    floats = {name: torch.from_numpy(axes[name].copy()).to(device)[:, None, None] for name in _PARAMETERS}
    counts = {name: torch.from_numpy(axes[name].copy()).to(device)[:, None, None] for name in _COUNTS}

    # The output pixels, padded and mirrored, and the source pixels under the filter of each.
    pixel = torch.arange(8 * n_blocks, device=device).view(1, n_blocks, 8)
    pixel = torch.minimum(pixel, counts["n_out"] - 1)
    pixel = counts["start"] + torch.where(counts["flip"] > 0, counts["n_out"] - 1 - pixel, pixel)  # (n, J, 8)
    centre = floats["box"] + (pixel + 0.5) * floats["scale"]
    reach = floats["scale"].clamp(min=1.0)
    low = torch.maximum((centre - reach + 0.5).long(), counts["low"])
    high = torch.minimum((centre + reach + 0.5).long(), counts["high"])
    n_taps = int(np.ceil(2 * max(axes["scale"].max(), 1.0))) + 1
    taps = low[..., None] + torch.arange(n_taps, device=device)  # (n, J, 8, taps)
    weight = (1 - (taps - centre[..., None] + 0.5).abs() / reach[..., None]).clamp(min=0)
    weight = weight * (taps < high[..., None])
    weight = weight / weight.sum(dim=-1, keepdim=True)

    # Each source pixel is interpolated from two samples of the component.
    place = (taps + 0.5) * floats["ratio"][..., None] - 0.5
    before = place.floor()
    fraction = place - before
    first_there = torch.from_numpy(first).to(device)
    base = 8 * first_there[:, :, None, None]
    last = counts["n_true"][..., None] - 1
    samples = torch.zeros((*pixel.shape, 8 * width), dtype=torch.float64, device=device)
    zero = torch.zeros_like(last)
    for step, share in ((0, 1 - fraction), (1, fraction)):
        index = torch.minimum(torch.maximum(before.long() + step, zero), last) - base
        used = weight * share
        samples.scatter_add_(-1, torch.where(used > 0, index, 0), used)

    dct = torch.from_numpy(dct_matrix().copy()).to(device)
    wanted = torch.from_numpy(plan.basis[component, axis, :, : plan.n_out[component, axis]].copy()).to(device)
    samples = samples.view(*pixel.shape, width, 8)
    matrices = torch.einsum("njpwy,iy,pk->njkwi", samples, dct, wanted)
    if whole.any():
        moved = torch.from_numpy(whole).to(device).view(-1, 1, 1, 1, 1)
        matrices = torch.where(moved, matrices.round(), matrices)  # exactly 0, 1 and -1: blocks keep their values
    relative = first_there - first_there.amin(dim=1, keepdim=True)
    return _Bands(relative, matrices.float(), torch.from_numpy(begin).to(device), extent)


def _window(part: _Part, vertical: _Bands, horizontal: _Bands, plan: Frequencies, component: int) -> Tensor:
    """Return the dequantized blocks that the bands reach: (images, rows, v, columns * u), 0 for what is not held."""
    device = part.flat.device
    n_u = int(plan.n_horizontal[component])
    n_v = int(plan.n_vertical[component].max())
    place = torch.from_numpy(plan.place[component, :n_u, :n_v].T.copy()).to(device)  # (v, u)
    row = vertical.begin[:, None] + torch.arange(vertical.extent, device=device)
    column = horizontal.begin[:, None] + torch.arange(horizontal.extent, device=device)
    # Blocks beyond an image's own are beyond its bands too: any value will do there.
    row = torch.minimum(row, part.blocks[:, :1] - 1)[:, :, None, None, None]
    column = torch.minimum(column, part.blocks[:, 1:] - 1)[:, None, None, :, None]
    rows, columns = (part.blocks[:, i].view(-1, 1, 1, 1, 1) for i in (0, 1))
    index = part.start.view(-1, 1, 1, 1, 1) + (place.clamp(min=0)[:, None] * rows + row) * columns + column
    steps = part.steps[:, :n_u, :n_v].transpose(1, 2) * (place >= 0)  # (n, v, u)
    values = part.flat[index] * steps[:, None, :, None, :]  # (n, rows, v, columns, u)
    return values.reshape(*values.shape[:3], -1)


def _apply(bands: _Bands, source: Tensor) -> Tensor:
    """Multiply (images, source blocks, frequencies, n) by bands: (images, output blocks, outputs, n)."""
    n, j, outputs, width, _ = bands.matrices.shape
    frequencies = source.shape[2]
    index = bands.first[:, :, None] + torch.arange(width, device=source.device)
    image = torch.arange(n, device=source.device)[:, None, None]
    near = source[image, index.clamp(max=source.shape[1] - 1)]  # (n, J, width, frequencies, columns)
    matrices = bands.matrices[..., :frequencies].reshape(n, j, outputs, width * frequencies)
    return matrices @ near.reshape(n, j, width * frequencies, -1)

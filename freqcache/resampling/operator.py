"""The operator on a batch: crop, resize, chroma to the luma grid, mirroring and an affine map of each channel.

On a component's plane X all of it is linear and separable, ``out = M_v X M_h^T``. Nothing is rounded or clipped on the
way; in that alone the result differs from the same steps in pixels. Batches in main memory go through a compiled
kernel, others through torch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch
from freqcache.buffers import Buffers
from freqcache.resampling.cpu import resample_arrays
from freqcache.resampling.device import resample_tensors
from freqcache.resampling.frequencies import layout
from freqcache.resampling.geometry import Crops
from freqcache_formats.channels import NATURAL_TO_ZIGZAG
from freqcache_formats.mask import ChannelMask

_PLACES = NATURAL_TO_ZIGZAG.reshape(8, 8).T.ravel()
"""Zigzag position of [u, v]."""


def resample(
    batch: FrequencyBatch,
    crops: Crops,
    channels: ChannelMask,
    *,
    scale: Tensor | None = None,
    offset: Tensor | None = None,
    threads: int = 1,
    buffers: Buffers | None = None,
) -> Tensor:
    """Return a part of each image on a common grid.

    Parameters
    ----------
    batch : FrequencyBatch
        Quantized coefficients.
    crops : Crops
        What to take of each image.
    channels : ChannelMask
        Channels wanted. What they would get of frequencies that the batch does not hold is missing from them.
    scale, offset : (images or 1, channels) float32 tensors, optional
        The result is ``scale * coefficients + offset``; 1 and 0 by default.
    threads : int
        On a CPU.
    buffers : Buffers, optional
        Gives the memory of the result on a CPU.

    Returns
    -------
    (images, channels, block_rows, block_cols) float32 tensor
        Dequantized, in channels-last memory, on the device of the batch. Channels of a component that an image lacks
        (chroma of grayscale) are `offset`.

    Raises
    ------
    ValueError
        If the parts do not fit together, or a box is not inside its image.
    """
    if len(crops) != len(batch):
        msg = f"expected crops of {len(batch)} images, found {len(crops)}"
        raise ValueError(msg)
    axes = crops.axes(blocks=batch.blocks, sampling=batch.sampling, width=batch.width, height=batch.height)
    plan = layout(batch.channels, channels)
    if scale is None:
        scale = torch.ones((1, len(channels)), dtype=torch.float32, device=batch.device)
    if offset is None:
        offset = torch.zeros((1, len(channels)), dtype=torch.float32, device=batch.device)
    if batch.device.type != "cpu":
        dequantized = resample_tensors(
            batch.parts[0],
            starts=batch.starts,
            blocks=batch.blocks,
            sampling=batch.sampling,
            steps=steps_by_place(batch.quantization),
            axes=axes,
            plan=plan,
            grid=crops.grid,
        )
        mapped = torch.addcmul(offset[:, :, None, None], dequantized, scale[:, :, None, None])
        return mapped.contiguous(memory_format=torch.channels_last)
    shape = (len(batch), *crops.grid, len(channels))
    memory = (buffers or Buffers()).take(math.prod(shape), np.float32)
    out = torch.from_numpy(memory.reshape(shape))
    resample_arrays(
        [[flat.numpy() for flat in flats] for flats in batch.parts],
        part=batch.part,
        starts=np.ascontiguousarray(batch.starts),
        blocks=batch.blocks,
        sampling=batch.sampling,
        steps=steps_by_place(batch.quantization).contiguous().numpy(),
        axes=axes,
        plan=plan,
        scale=scale.float().contiguous().numpy(),
        offset=offset.float().contiguous().numpy(),
        out=out.numpy(),
        threads=threads,
    )
    return out.permute(0, 3, 1, 2)


def steps_by_place(quantization: Tensor) -> Tensor:
    """Return steps, (images, 3, 64) float32 in zigzag order, as (images, 3, 8, 8): [image, component, u, v]."""
    return quantization[:, :, torch.from_numpy(_PLACES)].view(len(quantization), 3, 8, 8)

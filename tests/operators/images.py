"""Batches of made-up images of every sampling, and what becomes of them in pixels."""

from __future__ import annotations

import numpy as np
import torch

from freqcache.batches import FrequencyBatch
from freqcache_formats.mask import ChannelMask

ALL = ChannelMask.preset("192")
SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "fractional": ((3, 2), (2, 1), (1, 2)),
    "gray": ((2, 2), (0, 0), (0, 0)),
}
SIZES = ((80, 64), (75, 101), (33, 47), (129, 17), (64, 64), (61, 8), (96, 120))


def _blocks(pixels, factor, largest):
    samples = -(-pixels * factor // largest)
    return -(-samples // 8)


def make_batch(names, sizes, *, seed=0, dtype=np.int16, channels=ALL):
    """Return a batch of images, (width, height) pixels each, with random coefficients and steps.

    The energy falls with the frequency as that of photographs does. The flat arrays hold some numbers besides.
    """
    rng = np.random.default_rng(seed)
    spread = 40 / (1 + np.arange(64))
    n = len(names)
    flats, starts, blocks = [[], [], []], np.zeros((n, 3), np.int64), np.zeros((n, 3, 2), np.int32)
    sampling = np.array([SAMPLINGS[name] for name in names], np.uint8)
    for image, (width, height) in enumerate(sizes):
        h_max, v_max = sampling[image].max(axis=0).astype(int)
        for component, (h, v) in enumerate(sampling[image].astype(int)):
            rows, columns = _blocks(height, v, v_max), _blocks(width, h, h_max)
            values = rng.normal(size=(64, rows, columns)) * spread[:, None, None]
            held = np.rint(values).astype(dtype)[channels.frequencies[component]]
            flats[component] += [rng.integers(-9, 9, 3).astype(dtype), held.ravel()]
            starts[image, component] = sum(len(part) for part in flats[component][:-1])
            blocks[image, component] = rows, columns
    return FrequencyBatch(
        channels=channels,
        parts=(tuple(torch.from_numpy(np.concatenate(pieces)) for pieces in flats),),
        part=np.zeros(n, np.intp),
        quantization=torch.from_numpy(rng.integers(1, 9, (n, 3, 64)).astype(np.float32)),
        labels=torch.arange(n),
        starts=starts,
        blocks=blocks,
        sampling=sampling,
        width=np.array([w for w, _ in sizes], np.int32),
        height=np.array([h for _, h in sizes], np.int32),
    )


def in_pixels(oracle, batch, image):
    """Yield the components of an image as samples on the luma grid, None for absent ones; by scipy and numpy."""
    sample, _ = batch[image]
    h_max, v_max = sample.sampling.max(axis=0).astype(int)
    for component, (h, v) in enumerate(sample.sampling.astype(int)):
        if h == 0:
            yield None
            continue
        steps = sample.quantization[component].astype(np.float64)
        plane = oracle.block_idct(sample.coefficients[component] * steps[:, None, None])
        yield oracle.upsample(plane, sample.height, sample.width, v, v_max, h, h_max)

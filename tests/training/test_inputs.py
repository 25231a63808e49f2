"""From stored coefficients to a network's input: shapes, modes, and pairing of channels with pixels."""

from __future__ import annotations

import pytest
import torch

from freqcache.normalization import Normalization
from freqcache.training import RunConfig
from freqcache.training.inputs import InputPipeline, network_input_shape
from freqcache.transforms import RandomHorizontalFlip, ToPixels
from freqcache_formats.mask import ChannelMask

ALL = ChannelMask.preset("192")
UNIT = Normalization(mean=torch.zeros(192), std=torch.ones(192))


def _stored(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-60, 61, (count, 192, 5, 7), generator=generator, dtype=torch.int8)


def _pipeline(**options):
    config = RunConfig(cache="a", **options)
    return InputPipeline(config, channels=ALL, scale=torch.ones(192), normalization=UNIT)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"input": "dct"}, (192, 5, 7)),
        ({"input": "rgb"}, (3, 20, 28)),
        ({"input": "rgb", "arch": "mobilenet_v2"}, (3, 10, 14)),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_shapes_are_what_the_network_is_told(options, shape, training):
    pipeline = _pipeline(shift=2, **options).train(training)
    x = pipeline(_stored(), torch.Generator().manual_seed(0))
    assert tuple(x.shape[1:]) == shape == network_input_shape(RunConfig(cache="a", **options), 192, (5, 7))
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", ["dct", "rgb"])
def test_evaluation_mode_leaves_chance_out(kind):
    pipeline = _pipeline(input=kind, shift=2).eval()
    stored = _stored()
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    torch.testing.assert_close(pipeline(stored, generator), pipeline.encode(stored))
    assert torch.equal(generator.get_state(), state)
    pipeline.train()
    assert not torch.equal(pipeline(stored, generator), pipeline.encode(stored))


def test_pixels_are_mirrored_and_moved_as_the_channels_are():
    stored = _stored(30)
    channels = _pipeline(input="dct", shift=2)(stored, torch.Generator().manual_seed(3))
    pixels = _pipeline(input="rgb", shift=2)(stored, torch.Generator().manual_seed(3))
    encode, mirror = ToPixels(torch.ones(192)), RandomHorizontalFlip(ALL).flip
    moved = set()
    for image, blocks, picture in zip(stored, channels, pixels, strict=True):
        candidates = [
            (flipped, dy, dx)
            for flipped, source in ((False, image), (True, mirror(image[None])[0]))
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(_moved(source.float(), dy, dx), blocks)
        ]
        assert len(candidates) == 1
        flipped, dy, dx = candidates[0]
        whole = encode(mirror(image[None]) if flipped else image[None])[0]
        torch.testing.assert_close(picture, _moved(whole, 4 * dy, 4 * dx))
        moved.add(candidates[0])
    assert len(moved) > 10


def _moved(x, dy, dx):
    """Take each value from (row + dy, col + dx), zero where there is none."""
    out = torch.zeros_like(x)
    height, width = x.shape[1:]
    rows = [r for r in range(height) if 0 <= r + dy < height]
    cols = [c for c in range(width) if 0 <= c + dx < width]
    for row in rows:
        for col in cols:
            out[:, row, col] = x[:, row + dy, col + dx]
    return out

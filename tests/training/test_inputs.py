"""From stored coefficients to a network's input: shapes, modes, and pairing of channels with pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freqcache.crops import RandomResizedCrop
from freqcache.normalization import Normalization
from freqcache.training import RunConfig
from freqcache.training.draws import Draws, SharedCrop
from freqcache.training.inputs import InputPipeline, network_input_shape
from freqcache.transforms import RandomHorizontalFlip, ToPixels
from freqcache_formats.mask import ChannelMask

ALL = ChannelMask.preset("192")
UNIT = Normalization(mean=torch.zeros(192), std=torch.ones(192))


def _stored(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-60, 61, (count, 192, 5, 7), generator=generator, dtype=torch.int8)


def _draws(seed=0, images=6, **options):
    return Draws(seed=seed, epoch=1, step=2, images=images, **options)


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
    x = pipeline(_stored(), _draws())
    assert tuple(x.shape[1:]) == shape == network_input_shape(RunConfig(cache="a", **options), 192, (5, 7))
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", ["dct", "rgb"])
def test_evaluation_mode_leaves_chance_out(kind):
    pipeline = _pipeline(input=kind, shift=2).eval()
    stored = _stored()
    torch.testing.assert_close(pipeline(stored, _draws()), pipeline.encode(stored))
    pipeline.train()
    assert not torch.equal(pipeline(stored, _draws()), pipeline.encode(stored))


def test_pixels_are_mirrored_and_moved_as_the_channels_are():
    stored = _stored(30)
    channels = _pipeline(input="dct", shift=2)(stored, _draws(3, 30))
    pixels = _pipeline(input="rgb", shift=2)(stored, _draws(3, 30))
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


@pytest.mark.parametrize("kind", ["dct", "rgb"])
@pytest.mark.parametrize("world_size", [2, 3])
def test_an_image_is_augmented_alike_whatever_the_number_of_processes(kind, world_size):
    pipeline = _pipeline(input=kind, shift=2)
    stored = _stored()
    whole = pipeline(stored, _draws())
    for rank in range(world_size):
        part = pipeline(stored[rank::world_size], _draws(rank=rank, world_size=world_size))
        torch.testing.assert_close(part, whole[rank::world_size])
    assert not torch.equal(whole, pipeline(stored, _draws(1)))


def test_crops_are_drawn_alike_whatever_the_number_of_processes():
    crop = RandomResizedCrop(size=64)
    width, height = np.array([64, 80, 100, 333, 90, 64]), np.array([64, 100, 80, 70, 500, 65])
    whole = SharedCrop(crop=crop, draws=_draws()).draw(width, height, torch.Generator().manual_seed(1))
    plain = crop.draw(width, height, torch.Generator().manual_seed(1))
    for rank in (0, 1):
        draws = _draws(rank=rank, world_size=2)
        generator = torch.Generator().manual_seed(1)
        part = SharedCrop(crop=crop, draws=draws).draw(width[rank::2], height[rank::2], generator)
        for name in ("top", "left", "height", "width", "n_rows", "first_row", "first_column", "flip"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rank::2])
            np.testing.assert_array_equal(getattr(whole, name), getattr(plain, name))

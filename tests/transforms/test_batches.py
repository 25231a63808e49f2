"""What holds for every random transform: empty batches, memory layouts, seeds, compilation."""

from __future__ import annotations

import pytest
import torch

from freqcache.transforms import (
    ColourJitter,
    CutMix,
    Mixup,
    RandomBlockShift,
    RandomColour,
    RandomErasing,
    RandomHorizontalFlip,
    RandomQuarterTurn,
)
from freqcache_formats.mask import ChannelMask

MASK = ChannelMask.preset("24")
CLASSES = 7
MODULES = {
    "flip": RandomHorizontalFlip(MASK),
    "turn": RandomQuarterTurn(MASK),
    "shift": RandomBlockShift(2),
    "colour": RandomColour(MASK, ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, grayscale=0.2)),
    "erasing": RandomErasing(p=0.8),
    "mixup": Mixup(1.0, CLASSES),
    "cutmix": CutMix(1.0, CLASSES),
}
every_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def batch(count=6):
    generator = torch.Generator().manual_seed(0)
    x = 100 * torch.randn(count, len(MASK), 6, 6, generator=generator)
    return x, torch.randint(0, CLASSES, (count,), generator=generator)


def outputs(module, x, labels, generator=None, call=None):
    """Return the tuple of what a transform returns, mixing or not; `call` is called in its stead."""
    call = module if call is None else call
    if isinstance(module, Mixup | CutMix):
        return call(x, labels, generator)
    return (call(x, generator),)


def run(module, x, labels, seed=0):
    return outputs(module, x, labels, torch.Generator().manual_seed(seed))


def assert_equal(found, expected):
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@every_module
def test_an_empty_batch_stays_empty(module):
    x, labels = batch(0)
    found = run(module, x, labels)
    assert found[0].shape == x.shape
    assert [part.shape for part in found[1:]] in ([], [(0, CLASSES)])


@every_module
def test_an_image_alone_keeps_its_shape(module):
    x, labels = batch(1)
    assert run(module, x, labels)[0].shape == x.shape


@every_module
def test_channels_last_gives_the_same_and_the_input_is_left(module):
    x, labels = batch()
    last = x.contiguous(memory_format=torch.channels_last)
    before = x.clone()
    for seed in range(4):
        assert_equal(run(module, last, labels, seed), run(module, x, labels, seed))
    assert torch.equal(x, before)
    assert torch.equal(last, before)


@every_module
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_floats_stays(module, dtype):
    x, labels = batch()
    found = run(module, x.to(dtype), labels)[0]
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), run(module, x, labels)[0], rtol=0.05, atol=5.0)


@every_module
def test_random_numbers_come_from_the_given_generator_only(module):
    x, labels = batch()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = run(module, x, labels, 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal(run(module, x, labels, 5), first)
    assert any(not torch.equal(run(module, x, labels, seed)[0], first[0]) for seed in (6, 7, 8))
    without = outputs(module, x, labels)
    torch.set_rng_state(state)
    assert_equal(outputs(module, x, labels), without)
    assert any(not torch.equal(outputs(module, x, labels)[0], without[0]) for _ in range(3))


@every_module
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_it_does_the_same(module, backend):
    x, labels = batch()
    torch.compiler.reset()
    compiled = torch.compile(module, backend=backend)
    for seed in range(3):
        found = outputs(module, x, labels, torch.Generator().manual_seed(seed), call=compiled)
        for a, b in zip(found, run(module, x, labels, seed), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["shift", "colour", "erasing", "mixup", "cutmix"])
def test_other_random_numbers_are_not_compiled_anew(name):
    module = MODULES[name]  # not flip and turn: torch.compile treats no image, one image and several apart
    x, labels = batch()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(module, backend=backend)
    for seed in range(4):
        outputs(module, x, labels, torch.Generator().manual_seed(seed), call=compiled)
    after_four = len(graphs)
    assert after_four > 0
    for seed in range(4, 16):
        outputs(module, x, labels, torch.Generator().manual_seed(seed), call=compiled)
    assert len(graphs) == after_four


@every_module
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_sees_the_same_numbers(module):
    x, labels = batch()
    on_device = module.to("cuda")
    try:
        found = run(on_device, x.cuda(), labels.cuda())
    finally:
        module.to("cpu")
    for a, b in zip(found, run(module, x, labels), strict=True):
        assert a.is_cuda
        torch.testing.assert_close(a.cpu(), b)

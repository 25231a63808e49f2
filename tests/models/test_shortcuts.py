"""Shortcuts of narrow networks: never the strided 1x1 convolution in whose weight gradient oneDNN leaves its memory."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from freqcache.models import create_model
from freqcache.models.registry import ARCHITECTURES, INPUTS, STEM_REDUCTION
from freqcache.models.resnet import ONEDNN_BLOCK, STRIDES, BasicBlock, ResNet, SubsampledConv2d

TRAINING = """
import torch
from freqcache.models import create_model

torch.manual_seed(0)
torch.set_num_threads(2)
network = create_model("resnet18", in_channels=24, num_classes=5, width={width}).to(memory_format=torch.channels_last)
images = torch.randn(64, 24, 56, 56).to(memory_format=torch.channels_last)
for _ in range(2):
    torch.nn.functional.cross_entropy(network(images), torch.arange(64) % 5).backward()
print("trained", all(bool(p.grad.isfinite().all()) for p in network.parameters()))
"""


class Convolutions(TorchDispatchMode):
    """Collects (input channels, kernel, stride) of the convolutions that torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[int, tuple[int, ...], int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            x, weight, _, stride = args[:4]
            self.found.add((x.shape[1], tuple(weight.shape[2:]), max(stride)))
        return func(*args, **(kwargs or {}))


def _affected(model: nn.Module, channels: int, side: int) -> list[tuple[int, tuple[int, ...], int]]:
    with torch.no_grad(), Convolutions() as convolutions:
        model.to("meta").eval()(torch.empty((1, channels, side, side), device="meta"))
    assert len(convolutions.found) > 3
    return [(c, k, s) for c, k, s in convolutions.found if c < ONEDNN_BLOCK and k == (1, 1) and s > 1]


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_no_network_asks_for_a_strided_1x1_convolution_of_few_channels(arch: str) -> None:
    for width, strides, kind in itertools.product((0.0625, 0.125, 0.25), STRIDES, INPUTS):
        channels, side = (6, 16) if kind == "dct" else (3, 16 * STEM_REDUCTION[arch])
        model = create_model(arch, in_channels=channels, num_classes=3, width=width, strides=strides, input=kind)
        assert _affected(model, channels, side) == []


def test_nor_where_the_first_stage_has_a_stride() -> None:
    model = ResNet(BasicBlock, (1, 1, 1, 1), in_channels=6, num_classes=3, strides=(2, 1, 1, 1))
    assert _affected(model, 6, 16) == []


def test_wide_networks_keep_torchs_convolutions() -> None:
    assert not any(
        isinstance(m, SubsampledConv2d) for m in create_model("resnet18", in_channels=6, num_classes=3).modules()
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("shape", "stride"), [((2, 8, 6, 8), 2), ((3, 6, 7, 5), 2), ((2, 15, 8, 7), 3), ((1, 1, 1, 1), 2)]
)
def test_the_same_as_torchs_convolution(
    shape: tuple[int, ...], stride: int, memory_format: torch.memory_format
) -> None:
    """Of float64, which oneDNN does not compute."""
    random = torch.Generator().manual_seed(3)
    ours = SubsampledConv2d(shape[1], 16, 1, stride).double()
    theirs = nn.Conv2d(shape[1], 16, 1, stride).double()
    theirs.load_state_dict(ours.state_dict())  # the names are alike
    first = torch.randn(shape, generator=random, dtype=torch.float64).contiguous(memory_format=memory_format)
    second = first.clone()
    for convolution, x in ((ours, first), (theirs, second)):
        x.requires_grad_()
        convolution(x).square().sum().backward()
    torch.testing.assert_close(ours(first), theirs(second))
    torch.testing.assert_close(first.grad, second.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)


def test_what_runs_on_is_channels_last() -> None:
    x = torch.randn(2, 8, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = SubsampledConv2d(8, 16, 1, 2)(x)
    y.sum().backward()
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("width", [0.0625, 0.125])
def test_a_narrow_network_trains_on_large_images(width: float) -> None:
    """In a process of its own, which a CPU with AVX-512 used to end with a segmentation fault."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", TRAINING.format(width=width)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "trained True\n"), done.stderr

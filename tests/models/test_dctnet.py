"""DCTNet checkpoints: every tensor is used, and the network computes what the original computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from freqcache.errors import TrainingError
from freqcache.models import count_cost
from freqcache.models.dctnet import load_dctnet
from freqcache.normalization import Normalization
from freqcache_formats.mask import ChannelMask

from .layouts import DEPTHS, STAGES, State, dctnet_mobilenet, dctnet_resnet50

# The repository's subsets, as its evaluation lists them: Y, then Cb, then Cr, natural order in each.
NATURAL = {
    24: [
        *(8 * v + u for v in range(4) for u in range(4)),
        *(64 + i for i in (0, 1, 8, 9)),
        *(128 + i for i in (0, 1, 8, 9)),
    ],
    64: [
        *(8 * v + u for v, row in enumerate((7, 7, 6, 6, 6, 6, 6)) for u in range(row)),
        *(64 + i for i in (0, 1, 2, 8, 9, 10, 16, 17, 24, 25)),
        *(128 + i for i in (0, 1, 2, 8, 9, 10, 16, 17, 24, 25)),
    ],
    32: [
        *(8 * v + u for v, row in enumerate((5, 5, 5, 4, 3)) for u in range(row)),
        *(64 + i for i in (0, 1, 2, 8, 9)),
        *(128 + i for i in (0, 1, 2, 8, 9)),
    ],
}


def _norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def _original_resnet(x: Tensor, state: State) -> Tensor:
    """The evaluation of the repository's ResNet-50, from the names of its tensors; strides 1, 1, 2, 2."""
    for stage, depth in enumerate(DEPTHS["resnet50"]):
        for block in range(depth):
            prefix = f"model.{stage}.{block}"
            stride = 2 if block == 0 and stage >= 2 else 1
            y = functional.conv2d(x, state[f"{prefix}.conv1.weight"])
            y = functional.relu(_norm(y, state, f"{prefix}.bn1"))
            y = functional.conv2d(y, state[f"{prefix}.conv2.weight"], stride=stride, padding=1)
            y = functional.relu(_norm(y, state, f"{prefix}.bn2"))
            y = _norm(functional.conv2d(y, state[f"{prefix}.conv3.weight"]), state, f"{prefix}.bn3")
            if f"{prefix}.downsample.0.weight" in state:
                x = functional.conv2d(x, state[f"{prefix}.downsample.0.weight"], stride=stride)
                x = _norm(x, state, f"{prefix}.downsample.1")
            x = functional.relu(x + y)
    return functional.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


def _original_mobilenet(x: Tensor, state: State) -> Tensor:
    """The same of its MobileNetV2."""
    index, channels = 0, x.shape[1]
    for expansion, outputs, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            prefix, y, number = f"features.{index}.conv", x, 0
            stride = first_stride if repeat == 0 else 1
            if expansion != 1:
                y = functional.conv2d(y, state[f"{prefix}.0.weight"])
                y, number = functional.relu6(_norm(y, state, f"{prefix}.1")), 3
            weight = state[f"{prefix}.{number}.weight"]
            y = functional.conv2d(y, weight, stride=stride, padding=1, groups=y.shape[1])
            y = functional.relu6(_norm(y, state, f"{prefix}.{number + 1}"))
            y = functional.conv2d(y, state[f"{prefix}.{number + 3}.weight"])
            y = _norm(y, state, f"{prefix}.{number + 4}")
            x = x + y if stride == 1 and channels == outputs else y
            index, channels = index + 1, outputs
    x = functional.relu6(_norm(functional.conv2d(x, state["conv.0.weight"]), state, "conv.1"))
    return functional.linear(x.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])


NETWORKS = [
    ("resnet50", 24, dctnet_resnet50, _original_resnet),
    ("resnet50", 64, dctnet_resnet50, _original_resnet),
    ("mobilenet_v2", 24, dctnet_mobilenet, _original_mobilenet),
    ("mobilenet_v2", 32, dctnet_mobilenet, _original_mobilenet),
]


@pytest.mark.parametrize(("arch", "channels", "make", "original"), NETWORKS)
def test_logits_are_the_originals(arch, channels, make, original):
    """The same content: all 192 channels, of which each takes its own in its own order. Within 1e-4 of the largest."""
    state = make(channels, classes=50)
    loaded = load_dctnet(state)
    assert (loaded.arch, loaded.strides, loaded.model.training) == (arch, "paper", False)
    everything = torch.randn((2, 192, 16, 16), generator=torch.Generator().manual_seed(3))  # natural order
    theirs = everything[:, NATURAL[channels]]
    ours = everything[:, loaded.channels.natural_indices]
    assert not torch.equal(theirs, ours)
    with torch.no_grad():
        expected, found = original(theirs, state), loaded.model(ours)
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("arch", "channels", "make", "original"), NETWORKS)
def test_every_tensor_is_used(arch, channels, make, original):
    state = make(channels)
    loaded = load_dctnet(state)
    assert sorted(loaded.channels.natural_indices) == NATURAL[channels]
    own = loaded.model.state_dict()
    assert len(own) == len(state)
    assert sorted(float(v.double().sum()) for v in own.values()) == pytest.approx(
        sorted(float(v.double().sum()) for v in state.values())
    )
    learned = sum(v.numel() for name, v in state.items() if "running" not in name and "num_batches" not in name)
    assert sum(p.numel() for p in loaded.model.parameters()) == learned
    mean, std = (getattr(loaded.normalization, part) for part in ("mean", "std"))
    published = Normalization.dctnet(ChannelMask.preset("192"))
    natural = np.argsort(ChannelMask.preset("192").natural_indices)[loaded.channels.natural_indices]
    assert torch.equal(mean, published.mean[natural])
    assert torch.equal(std, published.std[natural])


def test_sizes_of_the_published_networks():
    """13.5 GMAC is what the ResNet-50 is known to cost."""
    resnet = load_dctnet(dctnet_resnet50(24))
    assert (resnet.resize, resnet.crop) == (512, 448)
    cost = count_cost(resnet.model, (24, resnet.crop // 8, resnet.crop // 8))
    assert cost.gmac == pytest.approx(13.5, abs=0.1)
    # RGB ResNet-50 without its stem (9,408 + 128), and 40 fewer inputs of the 64 + 256 planes that take them.
    assert cost.parameters == 25_557_032 - 9_536 - 40 * 320
    mobile = load_dctnet(dctnet_mobilenet(24))
    assert (mobile.resize, mobile.crop) == (1024, 896)
    # MobileNetV2 without its stem (864 + 64), and 8 fewer channels through the first block (9 + 2 + 16 each).
    parameters = count_cost(mobile.model, (24, 112, 112)).parameters
    assert parameters == 3_504_872 - 928 - 8 * 27


def test_the_file_that_is_published(tmp_path):
    """A tar-named file of torch 1.2, with counters of training beside the weights, or wrapped by DataParallel."""
    state = dctnet_resnet50(24, classes=10)
    content = {"epoch": 1, "best_prec1": 76.8, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    for prefix in ("", "module."):
        path = tmp_path / "model_best.pth.tar"
        content["state_dict"] = {prefix + name: value for name, value in state.items()}
        torch.save(content, path, _use_new_zipfile_serialization=False)
        loaded = load_dctnet(path)
        assert torch.equal(loaded.model.state_dict()["layer3.2.conv2.weight"], state["model.2.2.conv2.weight"])


def test_channels_may_be_named():
    state = dctnet_resnet50(24, classes=10)
    assert load_dctnet(state, channels="24-learned").channels == ChannelMask.preset("24-learned")
    with pytest.raises(TrainingError, match="a network of 24 channels, and the mask '6' has 6"):
        load_dctnet(state, channels="6")


def _gated(state: State) -> State:
    return {**state, "inp_GM.inp_gate_l.weight": torch.zeros(384, 1, 1, 1)}


def _grouped(state: State) -> State:
    """All 192 channels of MobileNetV2: six of them in each group of the first convolution."""
    return {**state, "features.0.conv.0.weight": torch.zeros(32, 6, 3, 3)}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (lambda: {"layer1.0.conv1.weight": torch.zeros(1)}, "not a network of the DCTNet repository"),
        (lambda: dctnet_resnet50(23, classes=4), "a network of 23 channels"),
        (lambda: _gated(dctnet_resnet50(24, classes=4)), "inp_GM.inp_gate_l.weight is not part of it"),
        (lambda: _grouped(dctnet_mobilenet(32, classes=4)), "features.1.conv.0.0.weight has shape"),
        (
            lambda: {k: v for k, v in dctnet_resnet50(24, classes=4).items() if k != "model.1.3.bn2.bias"},
            "layer2.3.bn2.bias is missing",
        ),
    ],
)
def test_other_networks_are_refused(tmp_path, state, words):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": state()}, path)
    with pytest.raises(TrainingError, match=words) as caught:
        load_dctnet(path)
    assert str(caught.value).startswith(f"{path}: ")

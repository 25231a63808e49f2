"""Networks: published sizes and costs, torch's own counter, torchvision's names, small grids."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from freqcache.errors import TrainingError
from freqcache.models import ARCHITECTURES, count_cost, create_model


# Parameters and GMAC as torchvision documents them for its ImageNet weights.
@pytest.mark.parametrize(
    ("arch", "parameters", "gmac"),
    [
        ("resnet18", 11_689_512, 1.81),
        ("resnet34", 21_797_672, 3.66),
        ("resnet50", 25_557_032, 4.09),
        ("mobilenet_v2", 3_504_872, 0.30),
    ],
)
def test_rgb_networks_have_the_published_size(arch, parameters, gmac):
    cost = count_cost(create_model(arch, in_channels=3, num_classes=1000, input="rgb"), (3, 224, 224))
    assert cost.parameters == parameters
    assert cost.gmac == pytest.approx(gmac, abs=0.01)


# The two costs that the published DCTNet layouts are known by.
@pytest.mark.parametrize(("strides", "gmac"), [("paper", 13.5), ("iso", 4.0)])
def test_strides_cost_what_they_are_known_for(strides, gmac):
    model = create_model("resnet50", in_channels=24, num_classes=1000, strides=strides)
    assert count_cost(model, (24, 56, 56)).gmac == pytest.approx(gmac, abs=0.1)


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
@pytest.mark.parametrize(("input_", "shape"), [("dct", (24, 14, 14)), ("rgb", (3, 56, 56))])
def test_cost_agrees_with_torchs_counter(arch, input_, shape):
    model = create_model(arch, in_channels=shape[0], num_classes=7, width=0.25, input=input_).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    assert 2 * count_cost(model, shape).macs == counter.get_total_flops()


def test_counting_leaves_the_model_alone():
    model = create_model("resnet18", in_channels=6, num_classes=5, width=0.25).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count_cost(model, (6, 8, 8))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
@pytest.mark.parametrize("grid", [(28, 28), (8, 8), (7, 9)])
def test_small_grids_make_logits(arch, grid):
    model = create_model(arch, in_channels=24, num_classes=5, width=0.25).eval()
    with torch.no_grad():
        logits = model(torch.randn(2, 24, *grid))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_names_are_torchvisions():
    names = set(create_model("resnet50", in_channels=3, num_classes=1000, input="rgb").state_dict())
    assert len(names) == 320
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.downsample.0.weight",
        "layer3.5.bn3.bias",
        "fc.bias",
    } <= names
    mobile = set(create_model("mobilenet_v2", in_channels=3, num_classes=1000, input="rgb").state_dict())
    assert {"features.0.0.weight", "features.1.conv.0.0.weight", "features.18.1.running_var"} <= mobile
    assert "classifier.1.weight" in mobile


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_dct_network_is_the_rgb_network_without_its_stem(arch):
    rgb = create_model(arch, in_channels=3, num_classes=5, input="rgb").state_dict()
    dct = create_model(arch, in_channels=24, num_classes=5).state_dict()
    new = set(dct) - set(rgb)
    # ResNet-18 and 34 at full width gain the projection of a shortcut whose ends no longer agree.
    assert all(name.startswith("layer1.0.downsample") for name in new)
    other = {name for name in set(dct) & set(rgb) if dct[name].shape != rgb[name].shape}
    assert all(name.startswith(("layer1.0.", "features.1.")) for name in other)
    dropped = set(rgb) - set(dct)
    assert dropped
    assert all(name.startswith(("conv1.", "bn1.", "features.0.")) for name in dropped)


def test_width_is_rounded_to_eights():
    model = create_model("resnet18", in_channels=24, num_classes=5, width=0.4)
    assert model.state_dict()["layer1.0.conv1.weight"].shape == (24, 24, 3, 3)
    assert model.state_dict()["fc.weight"].shape == (5, 192)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arch": "resnet99"}, "resnet99.*resnet18, resnet34"),
        ({"strides": "odd"}, "odd.*iso, paper"),
        ({"input": "yuv"}, "yuv.*dct, rgb"),
        ({"width": 0.0}, "width 0"),
        ({"in_channels": 0}, "0 input channels"),
    ],
)
def test_unknown_networks_are_refused(change, words):
    options = {"arch": "resnet18", "in_channels": 24, "num_classes": 5, **change}
    with pytest.raises(TrainingError, match=words):
        create_model(options.pop("arch"), **options)

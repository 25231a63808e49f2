"""RGB checkpoints into frequency networks: what is loaded, what stays fresh, what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch

from freqcache.errors import TrainingError
from freqcache.models import create_model
from freqcache.models.weights import TrunkReport, load_rgb_trunk, read_state_dict

from .layouts import torchvision_mobilenet, torchvision_resnet

RESNETS = ("resnet18", "resnet34", "resnet50")
STEM = {"resnet": ("conv1.", "bn1."), "mobilenet": ("features.0.",)}
ENTRY = {
    "resnet18": ("layer1.0.conv1.", "layer1.0.downsample."),
    "resnet34": ("layer1.0.conv1.", "layer1.0.downsample."),
    "resnet50": ("layer1.0.conv1.weight", "layer1.0.downsample.0.weight"),
    "mobilenet_v2": ("features.1.conv.0.", "features.1.conv.1.weight"),
}


def _rgb(arch: str, classes: int = 1000):
    return torchvision_mobilenet(classes) if arch == "mobilenet_v2" else torchvision_resnet(arch, classes)


def _check(model, state, report: TrunkReport) -> None:
    own = model.state_dict()
    assert set(report.loaded) | set(report.fresh) == set(own)
    assert set(report.loaded).isdisjoint(report.fresh)
    assert set(report.unused) == set(state) - set(own)
    assert all(torch.equal(own[name], state[name]) for name in report.loaded)


@pytest.mark.parametrize(
    ("arch", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)]
)
def test_the_made_layouts_have_the_published_size(arch, parameters):
    counted = (value.numel() for name, value in _rgb(arch).items() if "running" not in name and "num_" not in name)
    assert sum(counted) == parameters


@pytest.mark.parametrize("arch", [*RESNETS, "mobilenet_v2"])
def test_an_rgb_network_takes_everything(arch):
    model, state = create_model(arch, in_channels=3, num_classes=1000, input="rgb"), _rgb(arch)
    report = load_rgb_trunk(model, state)
    assert (report.fresh, report.unused) == ((), ())
    assert set(report.loaded) == set(state)
    _check(model, state, report)


@pytest.mark.parametrize("channels", [24, 192])
@pytest.mark.parametrize("arch", [*RESNETS, "mobilenet_v2"])
def test_a_frequency_network_takes_all_but_its_entry_and_its_classifier(arch, channels):
    torch.manual_seed(1)
    model = create_model(arch, in_channels=channels, num_classes=5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = _rgb(arch)
    report = load_rgb_trunk(model, state)
    _check(model, state, report)
    classifier = ("fc.",) if arch in RESNETS else ("classifier.",)
    assert all(name.startswith((*ENTRY[arch], *classifier)) for name in report.fresh)
    assert {name for name in model.state_dict() if name.startswith(classifier)} <= set(report.fresh)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in report.fresh)
    assert all(name.startswith(STEM["resnet" if arch in RESNETS else "mobilenet"]) for name in report.unused)
    assert len(report.loaded) > 0.9 * len(before)


def test_a_classifier_of_as_many_classes_and_an_entry_of_the_same_shape_are_loaded():
    """64 channels are as many as the stem made: the DCTNet release, too, keeps these weights."""
    model = create_model("resnet50", in_channels=64, num_classes=1000)
    report = load_rgb_trunk(model, torchvision_resnet("resnet50"))
    assert report.fresh == ()
    assert "fc.bias" in report.loaded


def test_wrappers_prefixes_and_old_files(tmp_path):
    state = torchvision_resnet("resnet18")
    plain = {name: value for name, value in state.items() if "num_batches" not in name}
    contents = {
        "plain": state,
        "wrapped": {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
        "model": {"model": state, "best": 0.5},
        "counters": plain,
    }
    for name, content in contents.items():
        for zipped in (True, False):
            path = tmp_path / f"{name}-{zipped}.pth"
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            model = create_model("resnet18", in_channels=24, num_classes=5)
            report = load_rgb_trunk(model, path)
            assert torch.equal(model.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
            assert len(report.fresh) == (9 if name != "counters" else 9 + 19)


def test_the_report_is_a_line():
    model = create_model("resnet50", in_channels=24, num_classes=5)
    line = str(load_rgb_trunk(model, torchvision_resnet("resnet50")))
    assert line.startswith("310 tensors loaded, 4 left fresh (layer1.0.conv1.weight, ")
    assert line.endswith("6 not used (conv1.weight, bn1.weight, bn1.bias, ...)")


@pytest.mark.parametrize(
    ("arch", "options", "made_of", "words"),
    [
        ("resnet18", {}, "resnet50", "tensors do not fit"),
        ("resnet50", {}, "resnet18", "conv3.weight is missing|has shape"),
        ("resnet50", {}, "mobilenet_v2", "is missing"),
        ("mobilenet_v2", {}, "resnet50", "is missing"),
        ("resnet50", {"width": 0.5}, "resnet50", r"layer1.0.bn1.weight has shape \(64,\), expected \(32,\)"),
        # Every tensor of ResNet-18 has a namesake of its shape in ResNet-34.
        ("resnet18", {}, "resnet34", r"layer1.2.conv1.weight is in no layer"),
        ("resnet34", {}, "resnet18", r"layer1.2.conv1.weight is missing"),
    ],
)
def test_other_networks_are_refused_and_change_nothing(tmp_path, arch, options, made_of, words):
    torch.save(_rgb(made_of), tmp_path / "rgb.pth")
    model = create_model(arch, in_channels=24, num_classes=5, **options)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError, match=words) as caught:
        load_rgb_trunk(model, tmp_path / "rgb.pth")
    assert str(tmp_path / "rgb.pth") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint was executed",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such checkpoint"),
        (b"", "not a readable checkpoint"),
        (b"PK\x03\x04 not a zip", "not a readable checkpoint"),
        (b"hello, world\n" * 50, "not a readable checkpoint"),
        (pickle.dumps(_Bomb(), protocol=2), "not a readable checkpoint"),
        ([1, 2], "expected a state dict, found list"),
        ({}, "expected a state dict, found dict"),
        ({"state_dict": {}}, "expected a state dict, found dict"),
        ({"epoch": 3, "arch": "resnet50"}, "found other things under epoch, arch"),
    ],
)
def test_files_that_are_no_state_dict(tmp_path, content, words):
    path = tmp_path / "rgb.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(TrainingError, match=words) as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(str(path))


def test_a_flipped_bit_is_seen(tmp_path):
    path = tmp_path / "rgb.pth"
    torch.save({"layer.weight": torch.zeros(5000)}, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="checksum"):
        read_state_dict(path)


def test_other_modules_have_no_trunk():
    with pytest.raises(TrainingError, match="found Linear"):
        load_rgb_trunk(torch.nn.Linear(2, 2), {"weight": torch.zeros(2, 2)})

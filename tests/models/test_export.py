"""Networks as files: reloaded in a process that cannot import freqcache, they give the same logits."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from made_runs import make_run
from photographs import write_tree

import freqcache
from freqcache import BuildOptions, FrequencyDataset
from freqcache.errors import TrainingError
from freqcache.export import DESCRIPTION, FORMS, export_network
from freqcache.training import load_run
from freqcache.transforms import Normalize
from freqcache_formats.mask import ChannelMask

MASK = ChannelMask.preset("24")

# What a user without freqcache writes; the first lines make sure that it is without.
ALONE = """
import sys
sys.modules["freqcache"] = sys.modules["freqcache_formats"] = None
import json, torch
form, path, data = sys.argv[1:]
files = {"freqcache.json": ""}
if form == "export":
    network = torch.export.load(path, extra_files=files).module()
else:
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    network = torch.jit.load(path, _extra_files=files)
content = torch.load(data)
with torch.no_grad():
    logits = [network(x) for x in content["inputs"]]
torch.save({"logits": logits, "description": json.loads(files["freqcache.json"])}, data)
assert not [name for name, module in sys.modules.items() if name.startswith("freqcache") and module is not None]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    write_tree(folder / "photos")
    freqcache.build(folder / "photos", folder / "c.zarr", BuildOptions(size=64), workers=1, quiet=True)
    return folder / "c.zarr"


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(("arch", "gate"), [("resnet18", True), ("mobilenet_v2", False)])
def test_reloaded_alone(form, arch, gate, cache, tmp_path):
    """Quantized input, batches of three sizes; within 1e-5 of the largest logit."""
    run = load_run(make_run(tmp_path / "run", cache, MASK, arch=arch, gate=gate))
    dataset = FrequencyDataset(cache, split="val", channels=MASK)
    path = tmp_path / f"network{FORMS[form]}"
    described = export_network(run, path, form=form, scale=dataset.scale)
    stored = dataset.read(range(8)).float()
    inputs = [stored, stored[:1], stored[:5]]
    torch.save({"inputs": inputs}, tmp_path / "data.pt")
    command = [sys.executable, "-c", ALONE, form, str(path), str(tmp_path / "data.pt")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "data.pt")
    normalize = Normalize(run.normalization.mean, run.normalization.std, dataset.scale)
    for x, logits in zip(inputs, found["logits"], strict=True):
        with torch.no_grad():
            output = run.model(normalize(x))
        assert logits.shape == (len(x), 2)
        assert (logits - output.logits).abs().max() < 1e-5 * output.logits.abs().max()
        assert (output.gates is not None) == gate
        if gate:  # otherwise there would be nothing to export
            assert 0 < output.gates.mean() < 1
    assert found["description"] == described
    assert described["channels"][:2] == [["Y", 0, 0], ["Y", 0, 1]]
    assert (described["classes"], described["grid"]) == (["ant", "bee"], [8, 8])
    assert described["scale"] == dataset.scale.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.pt", path.name, "run"]


def test_dequantized_is_the_default(cache, tmp_path):
    folder = make_run(tmp_path / "run", cache, MASK)
    path = tmp_path / "network.pt2"
    described = export_network(folder, path)
    assert described["scale"] == [1.0] * 24
    files = {DESCRIPTION: ""}
    network = torch.export.load(path, extra_files=files).module()
    assert json.loads(files[DESCRIPTION]) == described
    run, dataset = load_run(folder), FrequencyDataset(cache, split="val", channels=MASK)
    x = dataset.read(range(3)).float() * dataset.scale[:, None, None]
    normalize = Normalize(run.normalization.mean, run.normalization.std, torch.ones(24))
    with torch.no_grad():
        expected = run.model(normalize(x)).logits
        assert (network(x) - expected).abs().max() < 1e-5 * expected.abs().max()
        with pytest.raises(AssertionError):  # torch's guard: another grid than the run's
            network(x[:, :, :4])
    export_network(folder, path)  # replaces


def test_what_cannot_be_exported(cache, tmp_path):
    folder = make_run(tmp_path / "run", cache, MASK)
    rgb = make_run(tmp_path / "rgb", cache, ChannelMask.preset("192"), input="rgb")
    for run, name, options, words in (
        (rgb, "a.pt2", {}, "takes pixels, not coefficients"),
        (folder, "a.ts", {}, r"a.ts: expected a name that ends in .pt2"),
        (folder, "a.pt2", {"form": "torchscript"}, r"ends in .ts"),
        (folder, "a.onnx", {"form": "onnx"}, "unknown form 'onnx': expected one of export, torchscript"),
        (folder, "no/a.ts", {"form": "torchscript"}, "a.ts: cannot be written: No such file"),
        (folder, "a.pt2", {"scale": torch.ones(3)}, "expected 24 steps, one for each channel"),
        (tmp_path / "nowhere", "a.pt2", {}, "no such run folder"),
    ):
        with pytest.raises(TrainingError, match=words):
            export_network(run, tmp_path / name, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rgb", "run"]

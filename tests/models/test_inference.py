"""From files to classes: the input is the cache's, the classes are the evaluation's, and no pixels are decoded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_runs import make_run
from photographs import encoded, write_tree

import freqcache
from freqcache import BuildOptions, FrequencyDataset, pixels
from freqcache.crops import CentreCrop
from freqcache.demo import photographs
from freqcache.errors import BuildError, CorruptImageError, SourceError, TrainingError, UnsupportedImageError
from freqcache.extraction import ExtractionOptions
from freqcache.inference import Classifier
from freqcache.training import evaluate, load_run
from freqcache.training.inputs import InputPipeline
from freqcache_formats.mask import ChannelMask

MASK = ChannelMask.preset("24")


@dataclass(frozen=True)
class Made:
    source: Path
    cache: Path
    run: Path
    build: BuildOptions
    size: int | None


BUILDS = {
    "int8": (BuildOptions(size=64, shuffle=False), None),
    "exact": (BuildOptions(size=64, exact=True, shuffle=False), None),
    "native": (BuildOptions(shuffle=False), 64),
    "reduced": (BuildOptions(shuffle=False, extraction=ExtractionOptions(max_size=100)), 64),
}


@pytest.fixture(scope="module")
def flowers(tmp_path_factory) -> Path:
    """Two of each class and split of the photographs that ship."""
    root = tmp_path_factory.mktemp("flowers")
    for folder in sorted(p for p in photographs().glob("*/*") if p.is_dir()):
        target = root / folder.relative_to(photographs())
        target.mkdir(parents=True)
        for path in sorted(folder.glob("*.jpg"))[:2]:
            shutil.copy(path, target)
    return root


@pytest.fixture(scope="module", params=list(BUILDS))
def made(request, flowers, tmp_path_factory) -> Made:
    options, size = BUILDS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    freqcache.build(flowers, root / "c.zarr", options, workers=1, quiet=True)
    run = make_run(root / "run", root / "c.zarr", MASK, size=size)
    return Made(flowers, root / "c.zarr", run, options, size)


def _files(source: Path, split: str = "val") -> list[Path]:
    """In the order of an unshuffled build."""
    return sorted((source / split).rglob("*.*"))


def _of_cache(made: Made) -> torch.Tensor:
    run = load_run(made.run)
    dataset = FrequencyDataset(made.cache, split="val", channels=MASK, size=made.size)
    options = {"channels": MASK, "scale": dataset.scale, "normalization": run.normalization}
    return InputPipeline(run.config, **options).eval()(dataset.read(range(len(dataset))))


def test_a_file_gives_the_input_of_its_sample(made):
    """Bit for bit, whatever the cache."""
    classifier = Classifier.load(made.run, device="cpu")
    found = classifier.inputs(_files(made.source))
    assert found.shape == (10, 24, 8, 8)
    assert torch.equal(found, _of_cache(made))


def test_classes_are_the_evaluations(made):
    classifier = Classifier.load(made.run, device="cpu")
    files = _files(made.source)
    predicted = classifier.predict(files)
    assert all(len(classes) == 5 for classes in predicted)
    with torch.no_grad():
        expected = load_run(made.run).model(_of_cache(made)).logits.softmax(1)
    for row, classes in zip(expected, predicted, strict=True):
        order = row.argsort(descending=True)
        assert [c.label for c in classes] == [classifier.classes[i] for i in order]
        assert [c.probability for c in classes] == pytest.approx(row[order].tolist(), abs=1e-5)
    hits = np.mean([classes[0].label == path.parent.name for classes, path in zip(predicted, files, strict=True)])
    assert evaluate(made.run, device="cpu").top1 == pytest.approx(hits)


def test_contents_paths_and_checkpoints(made):
    path = _files(made.source)[3]
    classifier = Classifier.load(made.run / "checkpoint.pt", device="cpu")
    (from_path,), (from_text,), (from_bytes,) = (
        classifier.predict([image], k=2) for image in (path, str(path), path.read_bytes())
    )
    assert from_path == from_text == from_bytes
    assert len(from_path) == 2
    assert sum(p.probability for p in classifier.predict([path], k=99)[0]) == pytest.approx(1)
    assert classifier.predict([]) == []


def test_many_images_are_taken_in_parts(made):
    """Within 1e-5: convolutions may sum in another order for another number of images."""
    classifier = Classifier.load(made.run, device="cpu")
    files = _files(made.source)
    many = classifier.logits(files * 4)
    assert many.shape == (40, 5)
    assert (many - classifier.logits(files).repeat(4, 1)).abs().max() < 1e-5 * many.abs().max()


@pytest.fixture(scope="module")
def fixed(flowers, tmp_path_factory) -> Made:
    root = tmp_path_factory.mktemp("fixed")
    options = BuildOptions(size=64, shuffle=False)
    freqcache.build(flowers, root / "c.zarr", options, workers=1, quiet=True)
    return Made(flowers, root / "c.zarr", make_run(root / "run", root / "c.zarr", MASK), options, None)


def test_jpeg_files_are_not_decoded(fixed, monkeypatch):
    def refuse(*_arguments, **_options):
        pytest.fail("decoded to pixels")

    monkeypatch.setattr(pixels, "decode_to_coefficients", refuse)
    assert len(Classifier.load(fixed.run, device="cpu").predict(_files(fixed.source))) == 10


@pytest.mark.parametrize("kind", ["int8", "exact", "native"])
def test_every_kind_of_file(kind, tmp_path):
    """All samplings, gray, progressive, PNG and CMYK: as the build takes them."""
    source, (options, size) = write_tree(tmp_path / "photos"), BUILDS[kind]
    options = replace(options, size=options.size and 40)
    freqcache.build(source, tmp_path / "c.zarr", options, workers=1, quiet=True)
    size = size and 40
    run = make_run(tmp_path / "run", tmp_path / "c.zarr", MASK, size=size)
    made = Made(source, tmp_path / "c.zarr", run, options, size)
    found = Classifier.load(run, build=options, device="cpu").inputs(_files(source))
    assert torch.equal(found, _of_cache(made))


def test_gates_decide_by_arg_max(fixed, tmp_path):
    run = make_run(tmp_path / "run", fixed.cache, MASK, gate=True)
    files = _files(fixed.source)
    first, second = (Classifier.load(run, device="cpu").logits(files) for _ in range(2))
    assert torch.equal(first, second)


def test_a_run_with_crops_is_seen_as_in_its_validation(fixed):
    """Where a run on a native cache was trained on random crops: short side to 8/7 of the size, the centre of it."""
    run = load_run(fixed.run)
    for options, resize in (
        ({"crop": "random-resized"}, 64),
        ({"crop": "random-resized", "resize": 96}, 96),
        ({}, None),
    ):
        cropped = replace(run, config=replace(run.config, size=56, **options), grid=(7, 7))
        assert Classifier(cropped, device="cpu").crop == CentreCrop(size=56, resize=resize)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, SourceError, "cannot be read: No such file"),
        (b"text", UnsupportedImageError, "no image"),
        (encoded(1, 64, 64)[:900], CorruptImageError, "."),
    ],
)
def test_bad_files_are_named(fixed, tmp_path, content, kind, words):
    classifier = Classifier.load(fixed.run, device="cpu")
    good, path = _files(fixed.source)[0], tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(kind, match=f"^image 1: .*{words}"):
            classifier.predict([good, content])
    with pytest.raises(kind, match=words) as caught:
        classifier.predict([good, path])
    assert str(caught.value).startswith(f"{path}: ")


def test_runs_that_cannot_classify_files(fixed, tmp_path):
    rgb = make_run(tmp_path / "rgb", fixed.cache, ChannelMask.preset("192"), input="rgb")
    with pytest.raises(TrainingError, match=r"rgb: this run was trained with --input rgb"):
        Classifier.load(rgb)
    oblong = make_run(tmp_path / "oblong", fixed.cache, MASK, grid=(8, 6))
    with pytest.raises(TrainingError, match="8x6 blocks: files can be brought to squares only"):
        Classifier.load(oblong)
    native = make_run(tmp_path / "native", fixed.cache, MASK)
    other = tmp_path / "weights.pt"
    other.write_bytes((native / "checkpoint.pt").read_bytes())
    with pytest.raises(TrainingError, match=r"weights.pt: expected a run folder, or the checkpoint.pt in one"):
        Classifier.load(other)
    with pytest.raises(TrainingError, match="no such run folder"):
        Classifier.load(tmp_path / "nowhere")


def test_options_that_cannot_be(fixed):
    run = load_run(fixed.run)
    foreign = replace(run, checkpoint=run.checkpoint | {"build": {"size": 64, "max_size": 2}})
    with pytest.raises(BuildError, match="max_size: expected at least 8"):
        Classifier(foreign)
    with pytest.raises(ValueError, match="k: expected at least 1"):
        Classifier(run).predict([], k=0)

"""Real photographs and a corpus of edge cases, where they are at hand."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from freqcache.errors import SourceError, UnsupportedImageError
from freqcache.jpeg import read_coefficients, read_header
from tests.jpeg.oracles import assert_same, jpeglib_read

LEFT_OVER = {
    # A fuzzer's file with bytes left over after its last block; they fit libjpeg-turbo's bit buffer, which drops
    # them unseen.
    "valid-cde10ca77d.jpg",
}


@pytest.fixture(scope="module")
def corpus(shared_data: Path) -> list[dict[str, str]]:
    """Lines of the corpus' manifest, each with the file's path."""
    folder = shared_data / "corpus"
    with (folder / "MANIFEST.tsv").open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert len(lines) > 500
    return [{**line, "path": str(folder / line["name"])} for line in lines]


def photographs(shared_data: Path, folder: str, step: int) -> list[Path]:
    found = sorted(p for p in (shared_data / folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    assert len(found) > 100
    return found[::step]


def test_valid_files_of_the_corpus(corpus, oracle):
    read = 0
    for line in corpus:
        if line["verdict"] != "valid":
            continue
        data = Path(line["path"]).read_bytes()
        if line["sof"].startswith("arith"):
            with pytest.raises(UnsupportedImageError, match="arithmetic"):
                read_coefficients(data)
            continue
        image = read_coefficients(data)
        assert bool(image.warnings) == (line["name"] in LEFT_OVER), (line["name"], image.warnings)
        assert_same(image, oracle.read(data), line["name"])
        assert (image.width, image.height) == (int(line["w"]), int(line["h"]))
        read += 1
    assert read > 150


def test_damaged_files_of_the_corpus_never_pass(corpus):
    outcomes: Counter[str] = Counter()
    for line in corpus:
        if line["verdict"] == "valid":
            continue
        try:
            outcome = "warnings" if read_coefficients(line["path"]).warnings else "clean"
        except SourceError as error:
            outcome = type(error).__name__
        assert outcome != "clean", line["name"]
        outcomes[outcome] += 1
    assert outcomes["warnings"] > 200


def test_headers_of_the_corpus_agree_with_the_coefficients(corpus):
    for line in corpus:
        try:
            image = read_coefficients(line["path"])
        except SourceError:
            continue
        header = read_header(line["path"])
        assert (header.width, header.height) == (image.width, image.height)
        assert (header.color_space, header.orientation) == (image.color_space, image.orientation)


@pytest.mark.parametrize(("folder", "step"), [("imagenet_sample", 3), ("flowers5", 60), ("clothing10", 80)])
def test_photographs(shared_data, oracle, folder, step):
    for path in photographs(shared_data, folder, step):
        data = path.read_bytes()
        image = read_coefficients(data)
        assert image.warnings == ()
        assert_same(image, oracle.read(data), path.name)


def test_photographs_against_jpeglib(shared_data):
    paths = photographs(shared_data, "imagenet_sample", 12) + photographs(shared_data, "flowers5", 300)
    readings = jpeglib_read(paths)
    assert len(readings) >= len(paths) - 2
    for path, planes in readings.items():
        for component, plane in zip(read_coefficients(path).components, planes, strict=True):
            assert (component.coefficients == plane).all(), path.name

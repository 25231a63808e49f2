"""Plans against the builds that they are of: bytes within a stated tolerance, and files that are not good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photographs import encoded, write_tree

import freqcache
from freqcache import BuildOptions
from freqcache.demo import photographs
from freqcache.errors import BuildError, NoSamplesError
from freqcache.extraction import ExtractionOptions
from freqcache.planning import Plan, plan

TOLERANCE = 0.05
"""What docs/planning.md says of half of a small source: the sizes of a plan are right within so much."""


def planned(source: Path, *options: BuildOptions, **keywords: object) -> Plan:
    return plan(source, options, workers=1, masks=(), quiet=True, **keywords)  # type: ignore[arg-type]


def built_bytes(source: Path, out: Path, options: BuildOptions) -> int:
    return freqcache.build(source, out, options, workers=1, quiet=True).bytes_out


@pytest.mark.parametrize(
    "options",
    [BuildOptions(level=2), BuildOptions(size=64), BuildOptions(size=64, exact=True)],
    ids=["native", "fixed", "exact"],
)
def test_half_of_the_photographs_tell_the_bytes_of_all(tmp_path: Path, options: BuildOptions) -> None:
    found = planned(photographs(), options, sample=90, temporary=tmp_path)
    assert found.sampled == 90
    real = built_bytes(photographs(), tmp_path / "out.zarr", options)
    assert abs(found.options[0].bytes.value / real - 1) < TOLERANCE
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_all_files_tell_it_nearly_exactly(tmp_path: Path) -> None:
    found = planned(photographs(), BuildOptions(), sample=1000)
    real = built_bytes(photographs(), tmp_path / "out.zarr", BuildOptions())
    assert abs(found.options[0].bytes.value / real - 1) < 0.03  # splits fill row groups apart from each other


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flowers5/val", BuildOptions(size=64)),
        ("imagenet_sample", BuildOptions(extraction=ExtractionOptions(max_size=256))),
    ],
)
def test_real_photographs(shared_data: Path, tmp_path: Path, name: str, options: BuildOptions) -> None:
    source = shared_data / name
    if name == "imagenet_sample":
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "all").symlink_to(source)
        source = tmp_path / "source"
    found = planned(source, options, sample=96)
    real = built_bytes(source, tmp_path / "out.zarr", options)
    assert abs(found.options[0].bytes.value / real - 1) < 2 * TOLERANCE


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """A source with files of every kind: good, refused by the header, failing in the body, turned."""
    root = write_tree(tmp_path / "photos", splits=("train",), per_class=7)
    folder = root / "train" / "ant"
    good = (folder / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(good[: len(good) * 2 // 3])
    (folder / "text.jpg").write_text("no image at all")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "turned.jpg").write_bytes(encoded(1, 48, 40, exif=_exif(6)))
    (root / "train" / "notes.txt").write_text("not an image")
    return root


def _exif(orientation: int) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def test_what_the_files_are(troubled: Path, tmp_path: Path) -> None:
    found = planned(troubled, BuildOptions(), out=tmp_path / "out.zarr")
    report = freqcache.build(troubled, tmp_path / "out.zarr", workers=1, quiet=True)
    assert found.sampled == found.files == 18
    origins = {name: share.sampled for name, share in found.origins.items()}
    assert origins == report.origins | {"refused": 3}
    assert sum(refusal.share.sampled for refusal in found.refusals) == 3
    assert {name for refusal in found.refusals for name in refusal.names} == {
        f"train/ant/{name}.jpg" for name in ("cut", "text", "empty")
    }
    assert found.turned.sampled == 1
    assert found.ignored == 1
    assert found.free
    assert found.options[0].fits
    assert found.options[0].bytes.value == pytest.approx(report.bytes_out, rel=0.05)
    json.dumps(found.to_dict())


def test_reading_is_measured_mask_by_mask(troubled: Path) -> None:
    found = plan(troubled, [BuildOptions(size=32)], workers=1, masks=("6", "192"), quiet=True)
    few, every = found.options[0].reading
    assert (few.channels, every.channels) == (6, 192)
    assert 0 < few.bytes_per_image < every.bytes_per_image < found.options[0].bytes.value
    assert few.images_per_second > 0


def test_three_files_are_enough(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(encoded(i, 40, 40))
    found = planned(tmp_path / "photos", BuildOptions())
    real = built_bytes(tmp_path / "photos", tmp_path / "out.zarr", BuildOptions())
    assert found.options[0].bytes.value == pytest.approx(real, rel=0.02)
    assert len(planned(tmp_path / "photos", BuildOptions(), sample=1).options) == 1


def test_small_images_make_the_sample_larger(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    data = encoded(0, 16, 16)
    for i in range(40):
        (folder / f"{i}.jpg").write_bytes(data)
    assert planned(tmp_path / "photos", BuildOptions(), sample=4).sampled == 40


def test_all_files_broken_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    for i in range(5):
        (folder / f"{i}.jpg").write_text("text")
    with pytest.raises(NoSamplesError, match=r"none of the 5 files sampled could be used; 5 of them: "):
        planned(tmp_path / "photos", BuildOptions(), temporary=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(("keywords", "words"), [({"sample": 0}, "sample"), ({"temporary": "/nowhere"}, "/nowhere")])
def test_what_cannot_be_planned(keywords: dict[str, object], words: str) -> None:
    with pytest.raises(BuildError, match=words):
        planned(photographs(), BuildOptions(), **keywords)

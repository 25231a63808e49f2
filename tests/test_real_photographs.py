"""Caches of real photographs of every sampling, against jpeglib's coefficients and Pillow's pixels.

The files lie beside the checkout; without them the tests skip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import idctn

import freqcache
from freqcache import BuildOptions, ChannelMask
from freqcache.extraction import ExtractionOptions
from freqcache.store import NativeSample
from freqcache_formats.channels import NATURAL_TO_ZIGZAG

# jpeglib crashes the process on some legal files: it runs in one of its own.
JPEGLIB = """
import sys, numpy as np, jpeglib
with jpeglib.version("turbo210"):
    image = jpeglib.read_dct(sys.argv[1])
planes = {"Y": image.Y, "Cb": image.Cb, "Cr": image.Cr}
np.savez(sys.argv[2], **{name: plane for name, plane in planes.items() if plane is not None})
"""
SAMPLINGS = {
    ((1, 1), (1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1), (1, 1)): "4:2:0",
    ((1, 2), (1, 1), (1, 1)): "4:4:0",
    ((1, 1), (0, 0), (0, 0)): "gray",
}
AT_MOST, AT_LEAST = 6, 2  # of each sampling; photographs of 4:4:0 are rare


@pytest.fixture(scope="module")
def cache(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]], Path]:
    """A native cache of candidates, and the slots of a few files of each sampling."""
    folder = tmp_path_factory.mktemp("real")
    classes = folder / "source" / "photo"
    classes.mkdir(parents=True)
    files = sorted((shared_data / "imagenet_sample").rglob("*.[jJ][pP]*"))[:90]
    files += sorted((shared_data / "corpus").glob("valid-*.jpg"))
    for i, path in enumerate(files):
        if path.stat().st_size < 200_000:
            shutil.copy(path, classes / f"{i:03}-{path.stem}.jpg")
    options = BuildOptions(shuffle=False, extraction=ExtractionOptions(max_size=None, keep_orientation=True))
    freqcache.build(folder / "source", folder / "out.zarr", options, workers=2, quiet=True)
    split = freqcache.open(folder / "out.zarr")["all"]
    found: dict[str, list[int]] = {name: [] for name in SAMPLINGS.values()}
    for slot in split.slots:
        sampling = tuple(tuple(int(n) for n in pair) for pair in split.values("sampling")[slot])
        name = SAMPLINGS.get(sampling)
        if name and split.values("origin")[slot] == 0 and len(found[name]) < AT_MOST:
            found[name].append(int(slot))
    return folder / "out.zarr", found, folder / "source"


@pytest.mark.parametrize("sampling", SAMPLINGS.values())
def test_coefficients_are_the_files_own_and_decode_as_pillow_does(
    cache: tuple[Path, dict[str, list[int]], Path], sampling: str, tmp_path: Path
) -> None:
    path, found, source = cache
    split = freqcache.open(path)["all"]
    slots = found[sampling]
    assert len(slots) >= AT_LEAST, f"only {len(slots)} photographs of {sampling}"
    for slot, sample in zip(slots, split.read(slots, ChannelMask.load("all")), strict=True):
        file = source / split.source_path(slot)
        check_against_jpeglib(sample, file, tmp_path / "oracle.npz")
        check_against_pillow(sample, file)


def test_there_are_twenty(cache: tuple[Path, dict[str, list[int]], Path]) -> None:
    assert sum(map(len, cache[1].values())) >= 20


def check_against_jpeglib(sample: NativeSample, file: Path, oracle: Path) -> None:
    subprocess.run([sys.executable, "-c", JPEGLIB, str(file), str(oracle)], check=True, capture_output=True)
    with np.load(oracle) as planes:
        names = [name for name, (h, _) in zip(("Y", "Cb", "Cr"), sample.sampling, strict=True) if h]
        assert sorted(planes.files) == sorted(names)
        for name, ours in zip(names, sample.coefficients, strict=False):
            rows, cols = ours.shape[1:]
            theirs = planes[name][:rows, :cols].transpose(2, 3, 0, 1).reshape(64, rows, cols)
            np.testing.assert_array_equal(ours[NATURAL_TO_ZIGZAG], theirs, err_msg=f"{file.name} {name}")


def check_against_pillow(sample: NativeSample, file: Path) -> None:
    """Luma through scipy's inverse DCT is Pillow's luma, up to the rounding of libjpeg's integer inverse DCT."""
    with Image.open(file) as image:
        image.draft("YCbCr" if image.mode == "RGB" else "L", None)
        theirs = np.asarray(image)
    theirs = theirs if theirs.ndim == 2 else theirs[..., 0]
    luma = sample.coefficients[0] * sample.quantization[0].astype(np.int32)[:, None, None]
    blocks = luma[NATURAL_TO_ZIGZAG].reshape(8, 8, *luma.shape[1:]).astype(np.float64)
    pixels = idctn(blocks, axes=(0, 1), norm="ortho") + 128
    plane = pixels.transpose(2, 0, 3, 1).reshape(luma.shape[1] * 8, luma.shape[2] * 8)
    plane = plane[: sample.height, : sample.width]
    error = np.abs(np.clip(plane, 0, 255) - theirs)
    assert error.max() <= 1.6, file.name  # half a unit of rounding, and about one of libjpeg's 13-bit constants
    assert error.mean() <= 0.5, file.name  # rounding alone gives 0.25 on photographs, up to 0.5 on flat pictures

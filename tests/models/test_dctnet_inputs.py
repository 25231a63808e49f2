"""The published preprocessing: OpenCV's resize by golden values, the whole against floating point and scipy."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import torch
from photographs import encoded, pixels
from PIL import Image
from scipy.fft import idctn

import freqcache
from freqcache import FrequencyDataset
from freqcache.crops import CentreCrop
from freqcache.dctnet_inputs import dctnet_coefficients, dctnet_input, resized
from freqcache.demo import photographs
from freqcache.errors import SourceError
from freqcache.models.dctnet import load_dctnet
from freqcache.normalization import Normalization
from freqcache.transforms import EvalTransform
from freqcache_formats.mask import ChannelMask

from .dctnet_reference import bilinear, reference
from .layouts import dctnet_resnet50

MASK = ChannelMask.preset("24")
IS_Y = np.array([c.component == "Y" for c in MASK.channels])
IS_DC = np.array([c.u == c.v == 0 for c in MASK.channels])


# blake2b of cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), OpenCV 4.11.0 and 5.0.0 alike, on x86-64.
@pytest.mark.parametrize(
    ("size", "digest"),
    [((64, 91), "b01863ef7103eb0a"), ((74, 106), "6c3573df303bc0e6"), ((20, 31), "1dcf9493e4cb99ea")],
)
def test_resize_is_opencvs(size, digest):
    image = np.random.default_rng(7).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    assert hashlib.blake2b(resized(image, *size).tobytes(), digest_size=8).hexdigest() == digest


def test_resize_is_bilinear_up_to_its_rounding():
    """Fractions are cut before the last rounding: up to a level less, an eighth of a level on average, never more."""
    image = np.asarray(pixels(3, 90, 70))
    difference = resized(image, 131, 203) - bilinear(image.astype(np.float64), 131, 203)
    assert difference.min() > -1.1
    assert difference.max() < 0.6
    assert -0.2 < difference.mean() < -0.05


def _rms(difference: np.ndarray, chosen: np.ndarray) -> float:
    return float(np.sqrt((difference[chosen] ** 2).mean()))


@pytest.mark.parametrize(("resize", "crop"), [(512, 448), (1024, 896)])
@pytest.mark.parametrize("size", [(375, 281), (281, 375)])
def test_against_floating_point(size, resize, crop):
    """Rounding to 8 bits four times (two resizes, colours, halved chroma), and of the coefficients."""
    image = pixels(5, *size)
    found = dctnet_coefficients(image, MASK, resize=resize, crop=crop).numpy()
    expected = reference(np.asarray(image), MASK, resize, crop)
    assert found.shape == (24, crop // 8, crop // 8)
    difference = found - expected
    assert _rms(difference, IS_Y & IS_DC) < 2.0
    assert _rms(difference, IS_Y & ~IS_DC) < 0.8
    assert _rms(difference, ~IS_Y) < 1.6
    # The luma of OpenCV's resize is darker; a block of 64 samples makes eight times that of DC.
    assert -2.0 < difference[0].mean() < -0.3


def test_channels_are_in_storage_order():
    """The coefficients of a preset are those of all 192, chosen, and all of them give the picture again."""
    image = pixels(1, 64, 64)
    every = dctnet_coefficients(image, ChannelMask.preset("192"), resize=64, crop=64)
    assert torch.equal(dctnet_coefficients(image, MASK, resize=64, crop=64), every[torch.from_numpy(MASK.indices)])
    blocks = np.zeros((8, 8, 8, 8))
    for channel in ChannelMask.preset("192").channels[:64]:
        blocks[:, :, channel.v, channel.u] = every[channel.storage_index]
    luma = idctn(blocks, axes=(2, 3), norm="ortho").transpose(0, 2, 1, 3).reshape(64, 64) + 128
    assert np.abs(luma - np.asarray(image) @ [0.299, 0.587, 0.114]).mean() < 0.5


def test_normalized_and_from_files(tmp_path):
    """A file, the same as an opened image, gray and turned ones."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(2, 80, 60, quality=90))
    with Image.open(path) as image:
        opened = dctnet_input(image, MASK)
    found = dctnet_input(path, MASK)
    assert torch.equal(found, opened)
    assert found.dtype == torch.float32
    normalization = Normalization.dctnet(MASK)
    mean, std = (part[:, None, None].double() for part in (normalization.mean, normalization.std))
    expected = (dctnet_coefficients(path, MASK).double() - mean) / std
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    pixels(2, 80, 60).save(turned, "PNG", exif=exif)
    (tmp_path / "turned.png").write_bytes(turned.getvalue())
    upright = pixels(2, 80, 60).transpose(Image.Transpose.ROTATE_270)
    assert torch.equal(dctnet_input(tmp_path / "turned.png", MASK), dctnet_input(upright, MASK))
    gray = dctnet_coefficients(pixels(2, 80, 60).convert("L"), MASK)
    assert (gray[torch.from_numpy(~IS_Y)] == 0).all()


def test_the_fast_way_is_close(tmp_path):
    """Coefficients of a native cache, resized as such, against the published way, on photographs of 320 pixels.

    They are enlarged, so no antialiasing is in between; what differs is rounding, and chroma that the published way
    smooths when it enlarges and halves it.
    """
    folder = tmp_path / "photos" / "train" / "roses"
    folder.mkdir(parents=True)
    paths = sorted(p for p in photographs().rglob("*.jpg"))[:3]
    for path in paths:
        (folder / path.name).write_bytes(path.read_bytes())
    options = freqcache.BuildOptions(shuffle=False)
    freqcache.build(tmp_path / "photos", tmp_path / "native.zarr", options, workers=1, quiet=True)
    crop = CentreCrop(size=448, resize=512)
    dataset = FrequencyDataset(tmp_path / "native.zarr", channels=MASK, crop=crop)
    fast = EvalTransform.of(dataset, "dctnet")(dataset.read_batch(range(3)))
    published = torch.stack([dctnet_input(folder / name, MASK) for name in sorted(p.name for p in folder.iterdir())])
    std = Normalization.dctnet(MASK).std.numpy()
    difference = ((fast - published).numpy() * std[:, None, None]).transpose(1, 0, 2, 3)
    assert _rms(difference, IS_Y & IS_DC) < 8
    assert _rms(difference, IS_Y & ~IS_DC) < 4
    assert _rms(difference, ~IS_Y) < 8
    model = load_dctnet(dctnet_resnet50(24, classes=20)).model
    with torch.no_grad():
        a, b = model(fast), model(published)
    assert (a - b).square().mean().sqrt() < 0.2 * (b - b.mean(0)).square().mean().sqrt()


@pytest.mark.parametrize(("resize", "crop"), [(512, 450), (512, 0), (400, 448)])
def test_sizes_that_cannot_be(resize, crop):
    with pytest.raises(ValueError, match="expected a crop of a multiple of 8 pixels"):
        dctnet_input(pixels(1, 20, 20), MASK, resize=resize, crop=crop)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"", "the file is empty"), (b"text", "no image"), (b"cut", "decoded")],
)
def test_files_that_cannot_be_read(tmp_path, content, words):
    path = tmp_path / "photo.jpg"
    if content == b"cut":
        content = encoded(1, 64, 64)[:700]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        dctnet_input(path, MASK)
    assert str(caught.value).startswith(f"{path}: ")

"""Independent oracles of the operator tests: scipy's DCT, numpy.interp, Pillow and jpeglib."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import jpeglib
import numpy as np
import pytest
import scipy.fft
from PIL import Image


def zigzag_walk():
    """Figure A.6 of T.81 by walking it, as (v, u) pairs."""
    v = u = 0
    for _ in range(64):
        yield v, u
        if (v + u) % 2 == 0:
            if u == 7:
                v += 1
            elif v == 0:
                u += 1
            else:
                v, u = v - 1, u + 1
        elif v == 7:
            u += 1
        elif u == 0:
            v += 1
        else:
            v, u = v + 1, u - 1


ZIGZAG = list(zigzag_walk())
ROWS, COLUMNS = (np.array(axis) for axis in zip(*ZIGZAG, strict=True))


@dataclass(frozen=True)
class Decoded:
    """Quantized coefficients of a JPEG as jpeglib reads them."""

    planes: tuple[np.ndarray, ...]
    steps: tuple[np.ndarray, ...]
    sampling: tuple[tuple[int, int], ...]
    width: int
    height: int

    @property
    def dequantized(self):
        return tuple(
            (plane * table.astype(np.float32)[:, None, None]).astype(np.float32)
            for plane, table in zip(self.planes, self.steps, strict=True)
        )


class Oracle:
    """What the code under test is compared with; none of it uses that code."""

    @staticmethod
    def block_dct(plane):
        """(h, w) float64 samples -> (64, rows, cols), edge-padded, zigzag, by scipy."""
        height, width = plane.shape
        padded = np.pad(plane.astype(np.float64), ((0, -height % 8), (0, -width % 8)), mode="edge") - 128
        blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8)
        return scipy.fft.dctn(blocks, axes=(1, 3), norm="ortho").transpose(1, 3, 0, 2)[ROWS, COLUMNS]

    @staticmethod
    def block_idct(coefficients):
        """(64, rows, cols) -> (8 rows, 8 cols) float64 samples, by scipy."""
        _, rows, cols = coefficients.shape
        natural = np.zeros((8, 8, rows, cols))
        natural[ROWS, COLUMNS] = coefficients
        blocks = scipy.fft.idctn(natural.transpose(2, 0, 3, 1), axes=(1, 3), norm="ortho")
        return blocks.reshape(8 * rows, 8 * cols) + 128

    @staticmethod
    def upsample(plane, height, width, v, v_max, h, h_max):
        """Linear interpolation at centred positions by numpy.interp, edges held."""

        def along(lines, n_out, factor, largest):
            n_true = -(-n_out * factor // largest)
            positions = (np.arange(n_out) + 0.5) * factor / largest - 0.5
            return np.array([np.interp(positions, np.arange(n_true), line[:n_true]) for line in lines])

        return along(along(plane, width, h, h_max).T, height, v, v_max).T

    @staticmethod
    def resize(plane, height, width, box=None):
        """Pillow's bilinear resize of float samples; box as (left, top, right, bottom)."""
        image = Image.fromarray(plane.astype(np.float32))
        resized = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized).astype(np.float64)

    @staticmethod
    def photo(height, width, seed=0, low=40, high=215):
        """RGB uint8 with structure at all scales, away from black and white so that nothing clips."""
        rng = np.random.default_rng(seed)
        total = np.zeros((height, width, 3))
        for cells in (2, 5, 17):
            small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            total += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) / cells**0.5
        total += rng.normal(0, 4, total.shape)
        total = (total - total.min()) / np.ptp(total)
        return (low + (high - low) * total).astype(np.uint8)

    @staticmethod
    def jpeg(rgb, folder: Path, sampling=((1, 1), (1, 1), (1, 1)), quality=90):
        """Write a JPEG with any sampling factors (h, v) and return its path."""
        path = folder / "oracle.jpg"
        image = jpeglib.from_spatial(np.ascontiguousarray(rgb))
        image.samp_factor = [[v, h] for h, v in sampling]
        image.write_spatial(str(path), qt=quality)
        return path

    @staticmethod
    def read(path) -> Decoded:
        """Read quantized coefficients with jpeglib."""
        image = jpeglib.read_dct(str(path))
        names = ("Y", "Cb", "Cr") if image.has_chrominance else ("Y",)
        planes = tuple(getattr(image, name).transpose(2, 3, 0, 1)[ROWS, COLUMNS] for name in names)
        steps = tuple(image.qt[number][ROWS, COLUMNS] for number in image.quant_tbl_no[: len(names)])
        sampling = tuple((int(h), int(v)) for v, h in image.samp_factor[: len(names)])
        return Decoded(planes, steps, sampling, int(image.width), int(image.height))

    @staticmethod
    def encode(image: Image.Image, file_format: str, **options) -> bytes:
        """Return the bytes of a file that Pillow writes."""
        buffer = io.BytesIO()
        image.save(buffer, file_format, **options)
        return buffer.getvalue()


@pytest.fixture(scope="session")
def oracle() -> type[Oracle]:
    return Oracle


@pytest.fixture(scope="session")
def photo(oracle) -> Image.Image:
    """RGB, 45 x 29."""
    return Image.fromarray(oracle.photo(29, 45, seed=11))

"""Images made by Pillow, and the libjpeg-turbo oracle."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jpeg.oracles import LibjpegOracle, libjpeg_oracle


@pytest.fixture(scope="session")
def oracle() -> LibjpegOracle:
    """libjpeg-turbo's own reading."""
    found = libjpeg_oracle()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture with smooth and with noisy parts."""
    rng = np.random.default_rng([seed, width, height])
    y, x = np.mgrid[:height, :width]
    waves = 128 + 90 * np.sin(x[..., None] / (7 + 5 * np.arange(3)) + y[..., None] / 11)
    noise = rng.normal(0, 40, (height, width, 3)) * (x > width / 2)[..., None]
    pixels = np.clip(waves + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """Return the bytes of a picture saved by Pillow with the options given."""

    def make(width: int = 70, height: int = 50, *, seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
        buffer = io.BytesIO()
        picture(width, height, seed, mode).save(buffer, "JPEG", **options)
        return buffer.getvalue()

    return make

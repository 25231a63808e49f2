"""Makes small photographs-like files for tests: smooth random images in every JPEG sampling, and other formats."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def pixels(seed: int, width: int, height: int) -> Image.Image:
    """Return a smooth random RGB image with some noise: enough structure for every frequency to occur."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = smooth + rng.normal(0, 6, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def encoded(
    seed: int, width: int, height: int, *, file_format: str = "JPEG", mode: str = "RGB", **options: object
) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    pixels(seed, width, height).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def write_tree(root: Path, *, splits: tuple[str, ...] = ("train", "val"), per_class: int = 7) -> Path:
    """Write a small source: two classes, JPEGs of several samplings and sizes, a gray one, a PNG and a CMYK one."""
    seed = 0
    for split in splits:
        for name in ("ant", "bee"):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                seed += 1
                width, height = 40 + 9 * (seed % 5), 40 + 7 * (seed % 4)
                if i == 3:
                    data = encoded(seed, width, height, mode="L", quality=80)
                    (folder / f"{i}.jpg").write_bytes(data)
                elif i == 4:
                    (folder / f"{i}.png").write_bytes(encoded(seed, width, height, file_format="PNG"))
                elif i == 5:
                    (folder / f"{i}.jpg").write_bytes(encoded(seed, width, height, mode="CMYK", quality=90))
                else:
                    data = encoded(seed, width, height, quality=70 + 5 * i, subsampling=i % 3, progressive=i == 6)
                    (folder / f"{i}.jpg").write_bytes(data)
    return root

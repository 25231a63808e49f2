"""A source of mixed files, with two that are turned by their EXIF orientation and one that fails, and caches of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from photographs import encoded, write_tree
from PIL import Image

import freqcache
from freqcache import BuildOptions
from freqcache.extraction import ExtractionOptions

WHOLE = ExtractionOptions(max_size=None)


def exif(orientation: int) -> Image.Exif:
    """Return metadata that say nothing but the orientation."""
    made = Image.Exif()
    made[274] = orientation
    return made


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tree(tmp_path_factory.mktemp("export") / "photos")
    samples = Path(freqcache.__file__).parent / "samples" / "flowers"
    for path in sorted(samples.rglob("*.jpg"))[:4]:
        shutil.copy(path, folder / "train" / "ant" / path.name)
    turned = encoded(99, 64, 48, quality=85, subsampling=2, exif=exif(6))  # no padded edge: turned exactly
    (folder / "train" / "bee" / "turned.jpg").write_bytes(turned)
    (folder / "train" / "bee" / "cut.jpg").write_bytes(turned[: len(turned) // 2])
    (folder / "train" / "bee" / "4.png.jpg").write_bytes(turned)  # the name that 4.png would get
    return folder


@pytest.fixture(scope="session")
def caches(photos: Path) -> Callable[[str], Path]:
    """Return the path of a cache of the source, made once: native, kept, reduced, int8 or int16."""
    kinds = {
        "native": BuildOptions(extraction=WHOLE),
        "kept": BuildOptions(extraction=ExtractionOptions(max_size=None, keep_orientation=True)),
        "reduced": BuildOptions(extraction=ExtractionOptions(max_size=48)),
        "int8": BuildOptions(size=40),
        "int16": BuildOptions(size=40, exact=True),
    }

    def cache(kind: str) -> Path:
        out = photos.parent / f"{kind}.zarr"
        if not out.exists():
            freqcache.build(photos, out, kinds[kind], workers=1, quiet=True)
        return out

    return cache

"""FFCV over the same images, run by a Python that has it (setup_peers.sh): peers.py starts it.

peer_ffcv.py write IMAGES OUT.beton jpg|raw     longest side at most 256 px, FFCV's own JPEG quality of 90
peer_ffcv.py read FILE.beton random|center      answers passes: batches of 64 in random order, to 224x224 in numpy
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from peer_worker import serve
from PIL import Image

SIDE, CROP = 256, 224


class Images:
    """The images of a folder and a label, as FFCV wants to index them."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.rglob("*.jpg"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.asarray(Image.open(self._paths[index]).convert("RGB")), 0


def write(folder: Path, out: Path, mode: str) -> None:
    """Write the file under another name first: FFCV fills it in place."""
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    partial = out.with_name(out.name + ".partial")
    fields = {"image": RGBImageField(write_mode=mode, max_resolution=SIDE), "label": IntField()}
    DatasetWriter(str(partial), fields, num_workers=1).from_indexed_dataset(Images(folder))
    partial.rename(out)


def read(path: Path, crop: str) -> None:
    """Serve passes over the whole file."""
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption

    if crop == "random":
        decoder = RandomResizedCropRGBImageDecoder((CROP, CROP))
    else:
        decoder = CenterCropRGBImageDecoder((CROP, CROP), ratio=CROP / SIDE)
    loader = Loader(
        str(path),
        batch_size=64,
        num_workers=1,
        order=OrderOption.RANDOM,
        seed=0,
        os_cache=True,
        drop_last=False,
        pipelines={"image": [decoder], "label": None},
    )
    table = loader.reader.alloc_table
    kib = float(table["size"].sum()) / len(table) / 1024
    serve(lambda: sum(len(batch) for (batch,) in loader), kib, version("ffcv"))


def main() -> None:
    """Command line."""
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        read(Path(sys.argv[2]), sys.argv[3])
    sys.stderr.flush()
    os._exit(0)  # FFCV's threads and Numba's finalizers may hold up an ordinary exit for ever


if __name__ == "__main__":
    main()

"""Training's ways from files to a network's input, as contenders that say how their time divides.

A way turns the images of a unit into one batch: it reads (decodes), then transforms. Random numbers are seeded by the
unit's number, so every pass does the same work, and Pillow cuts the same boxes as freqcache: the draws do not depend
on the size of the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from freqcache import FrequencyDataset
from freqcache.benchmarking.passes import Pass, timed
from freqcache.buffers import Buffers
from freqcache.crops import Crop
from freqcache.transforms import EvalTransform, Normalize, TrainTransform
from freqcache.transforms.pixels import RGB_MEAN, RGB_STD

Indices = npt.NDArray[np.intp]
Way = Callable[[Indices, int], float]
"""Takes the images of a unit and its number, makes a batch of them, and returns the seconds spent on reading."""


class Pipeline:
    """A contender: one way over all units.

    Attributes
    ----------
    name : str
        As the tables call it.
    reading : list of list of float
        Of each pass, the seconds that each unit's reading took.
    """

    def __init__(self, name: str, way: Way, units: Sequence[Indices]) -> None:
        self.name, self._way, self._units = name, way, units
        self.reading: list[list[float]] = []
        for number in (len(units) - 1, 0):  # compiles, opens files
            way(units[number], number)

    def run(self) -> Pass:
        """Run one pass."""
        took, reading = [], []

        def work() -> int:
            for number, unit in enumerate(self._units):
                start, cpu = time.perf_counter(), time.process_time()
                reading.append(self._way(unit, number))
                took.append((len(unit), time.perf_counter() - start, time.process_time() - cpu))
            return sum(map(len, self._units))

        found = replace(timed(work), units=tuple(took))
        self.reading.append(reading)
        return found

    def least_reading(self) -> float:
        """Return the seconds of reading all units, each unit's best time counted."""
        return sum(min(column) for column in zip(*self.reading, strict=True))


def units_of(row_groups: npt.NDArray[np.intp], together: int = 1) -> list[Indices]:
    """Return the images of some row groups at a time, in random order."""
    order = np.random.default_rng(7).permutation(int(row_groups.max()) + 1)
    chosen = [order[i : i + together] for i in range(0, len(order), together)]
    return [np.flatnonzero(np.isin(row_groups, groups)) for groups in chosen]


def seeded(number: int) -> torch.Generator:
    """Return the generator of a unit."""
    return torch.Generator().manual_seed(number)


def cropping(dataset: FrequencyDataset, transform: EvalTransform) -> Way:
    """Read whole row groups of a dataset with a crop, in memory used again as the loader does; transform them."""
    buffers = Buffers()

    def way(indices: Indices, number: int) -> float:
        start = time.perf_counter()
        batch = dataset.read_batch(indices, allocate=buffers.take)
        seconds = time.perf_counter() - start
        transform(batch, seeded(number))
        return seconds

    return way


def training(dataset: FrequencyDataset, **options: Any) -> Way:
    """Random crops."""
    return cropping(dataset, TrainTransform.of(dataset, **options).train())


def evaluation(dataset: FrequencyDataset) -> Way:
    """Fixed crops."""
    return cropping(dataset, EvalTransform.of(dataset).eval())


def plain(dataset: FrequencyDataset, *, normalized: bool) -> Way:
    """Read a dataset without a crop; normalize the tensors of a fixed cache."""
    if not normalized:
        buffers = Buffers()
        return lambda indices, _: _timed_reading(lambda: dataset.read_batch(indices, allocate=buffers.take))[1]
    mean, std = dataset.normalization()
    transform = Normalize(mean, std, dataset.scale)

    def way(indices: Indices, _: int) -> float:
        batch, seconds = _timed_reading(lambda: dataset.read(indices))
        transform(batch).contiguous(memory_format=torch.channels_last)
        return seconds

    return way


def _timed_reading(read: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    found = read()
    return found, time.perf_counter() - start


class Pillow:
    """Decode to RGB, cut, resize (triangle filter), mirror; float32, normalized, (images, 3, size, size).

    Images go one after the other from file to bytes, as in torchvision's loader. Reading is opening and decoding to
    RGB; neither `draft` nor another shortcut that changes pixels is used.
    """

    def __init__(self, files: Sequence[Path], crop: Crop) -> None:
        self._files, self._crop = files, crop
        self._mean = 255 * torch.tensor(RGB_MEAN)[:, None, None]
        self._factor = 1 / (255 * torch.tensor(RGB_STD)[:, None, None])

    def __call__(self, indices: Indices, number: int) -> float:
        """Make a batch; return the seconds of reading."""
        seconds = -time.perf_counter()
        images = [Image.open(self._files[i]) for i in indices]
        seconds += time.perf_counter()
        width, height = np.array([image.size for image in images]).T
        crops = self._crop.draw(width, height, seeded(number))
        side = self._crop.size
        batch = np.empty((len(images), side, side, 3), dtype=np.uint8)
        for k, image in enumerate(images):
            start = time.perf_counter()
            rgb = image.convert("RGB")
            seconds += time.perf_counter() - start
            image.close()
            batch[k] = self._cut(rgb, crops, k)
        self._normalized(batch)
        return seconds

    def _cut(self, rgb: Image.Image, crops: Any, k: int) -> npt.NDArray[np.uint8]:
        left, top, width, height = (int(getattr(crops, name)[k]) for name in ("left", "top", "width", "height"))
        if (left, top, width, height) != (0, 0, *rgb.size):
            rgb = rgb.crop((left, top, left + width, top + height))
        rgb = rgb.resize((int(crops.n_columns[k]), int(crops.n_rows[k])), Image.Resampling.BILINEAR)
        left, top = int(crops.first_column[k]), int(crops.first_row[k])
        if rgb.size != crops.size:
            rgb = rgb.crop((left, top, left + crops.size[1], top + crops.size[0]))
        if crops.flip[k]:
            rgb = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(rgb)

    def _normalized(self, batch: npt.NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
        return x.sub_(self._mean).mul_(self._factor)


def same_sizes(dataset: FrequencyDataset, images: Path) -> list[Path]:
    """Return the file of each item, after checking that Pillow sees images of the cache's sizes."""
    split = dataset.store[dataset.split]
    files = [images / split.source_path(int(slot)) for slot in dataset.slots]
    sizes = np.stack([split.values("width")[dataset.slots], split.values("height")[dataset.slots]], axis=1)
    for path, size in zip(files, sizes.tolist(), strict=True):
        with Image.open(path) as image:
            if list(image.size) != size:
                msg = f"{path}: expected the cache's {size} pixels, found {list(image.size)}"
                raise SystemExit(msg)
    return files

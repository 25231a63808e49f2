"""Use of a trained network outside: from JPEG files to classes, reading their coefficients only.

An image takes the way that it would take into the run's cache and out of it again: extraction, the resize and crop on
coefficients, the cache's rounding, normalization. So a file and its sample give the same input, bit for bit, where
the cache was built with the same options. JPEG files of YCbCr or gray are not decoded to pixels; other files are, as in
a build. A network as a file by itself is :mod:`freqcache.export`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch
from freqcache.building.options import BuildOptions
from freqcache.crops import CentreCrop
from freqcache.errors import SourceError, TrainingError
from freqcache.extraction import Sample, extract
from freqcache.quantization import fixed_steps, quantize_fixed
from freqcache.resampling.operator import resample
from freqcache.sources.files import read_file
from freqcache.training import TrainedRun, load_run
from freqcache.training.data import eval_crop
from freqcache.training.evaluation import choose_device
from freqcache.training.runs import CHECKPOINT
from freqcache.transforms import Normalize
from freqcache_formats.channels import N_CHANNELS, N_COMPONENTS, N_FREQUENCIES
from freqcache_formats.layout import BLOCK_SIZE
from freqcache_formats.mask import ChannelMask

ImageFile: TypeAlias = bytes | str | Path

_AT_A_TIME: Final = 32


class Prediction(NamedTuple):
    """A class and its probability.

    Attributes
    ----------
    label : str
        Name of the class.
    probability : float
        Softmax of the logits.
    """

    label: str
    probability: float


class Classifier:
    """A trained network that takes image files.

    Parameters
    ----------
    run : TrainedRun
        Of a network that takes frequency channels.
    build : BuildOptions, optional
        What the run's cache was built with: by default, what its checkpoint says.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    channels : ChannelMask
        What the network takes, in order.
    normalization : Normalization
        Of those.
    classes : tuple of str
        Names, in the order of the logits.
    model : GatedNetwork
        In evaluation mode, on the device.
    crop : CentreCrop
        What is seen of an image.
    build : BuildOptions
        With the size of the run's cache, if that is a fixed one.

    Raises
    ------
    TrainingError
        If the run takes pixels, its images were not square, or the device is not there.
    BuildError
        If the options contradict each other.
    """

    def __init__(self, run: TrainedRun, *, build: BuildOptions | None = None, device: str = "auto") -> None:
        refuse_pixels(run)
        self.channels = run.channels
        self.normalization = run.normalization
        self.classes = run.classes
        self.crop = _crop(run)
        if build is None and "build" not in run.checkpoint:
            msg = f"{run.path}: its checkpoint does not say how its cache was built; give build=BuildOptions(...)"
            raise TrainingError(msg)
        self.build = build or BuildOptions.from_dict(run.checkpoint["build"])
        self._device = choose_device(device)
        self.model = run.model.eval().to(self._device)
        self._steps = _steps(self.build, self.channels)
        self._normalize = Normalize(run.normalization.mean, run.normalization.std, self._steps)

    @classmethod
    def load(cls, run: str | Path, *, build: BuildOptions | None = None, device: str = "auto") -> Classifier:
        """Read a run folder, or the checkpoint in it; `build` and `device` as for the class.

        Raises
        ------
        TrainingError
            As :func:`freqcache.training.load_run`, and as the class.
        """
        path = Path(run)
        if path.is_file():
            if path.name != CHECKPOINT:
                msg = f"{path}: expected a run folder, or the {CHECKPOINT} in one"
                raise TrainingError(msg)
            path = path.parent
        return cls(load_run(path), build=build, device=device)

    def predict(self, images: Sequence[ImageFile], k: int = 5) -> list[list[Prediction]]:
        """Return the most probable classes of each image, the most probable first.

        Parameters
        ----------
        images : sequence of bytes or path
            Contents of files, or where they are.
        k : int
            Classes to name; all, where there are fewer.

        Returns
        -------
        list of list of Prediction
            One list an image, in order.

        Raises
        ------
        SourceError
            If a file cannot be read; the message begins with its path or its place in `images`.
        ValueError
            If `k` is not positive.
        """
        if k < 1:
            msg = f"k: expected at least 1, found {k}"
            raise ValueError(msg)
        named = []
        for logits in self._logits(images):
            best = torch.softmax(logits, dim=1).topk(min(k, len(self.classes)), dim=1)
            for labels, values in zip(best.indices.tolist(), best.values.tolist(), strict=True):
                named.append([Prediction(self.classes[i], p) for i, p in zip(labels, values, strict=True)])
        return named

    def logits(self, images: Sequence[ImageFile]) -> Tensor:
        """Return the logits of images, (images, classes) float32 on the CPU; raises as :meth:`predict`."""
        return torch.cat([torch.empty(0, len(self.classes)), *self._logits(images)])

    def inputs(self, images: Sequence[ImageFile]) -> Tensor:
        """Return what the network takes: (images, channels, crop / 8, crop / 8) float32; raises as :meth:`predict`."""
        samples = [_sample(image, f"image {i}", self.build) for i, image in enumerate(images)]
        return self._inputs(samples)

    def _logits(self, images: Sequence[ImageFile]) -> Iterator[Tensor]:
        for start in range(0, len(images), _AT_A_TIME):
            part = images[start : start + _AT_A_TIME]
            samples = [_sample(image, f"image {start + i}", self.build) for i, image in enumerate(part)]
            with torch.no_grad():
                yield self.model(self._inputs(samples).to(self._device)).logits.float().cpu()

    def _inputs(self, samples: Sequence[Sample]) -> Tensor:
        batch = _joined(samples)
        coefficients = resample(batch, self.crop.draw(batch.width, batch.height), self.channels)
        stored = coefficients if self.build.size is None else self._rounded(coefficients)
        normalized: Tensor = self._normalize(stored)
        return normalized

    def _rounded(self, coefficients: Tensor) -> Tensor:
        """Round as a fixed cache does."""
        if self.build.exact:
            return coefficients.round()
        steps = self._steps.numpy()
        return torch.from_numpy(np.stack([quantize_fixed(image, steps)[0] for image in coefficients.numpy()]))


def refuse_pixels(run: TrainedRun) -> None:
    """Raise TrainingError for a network that takes pixels."""
    if run.config.input == "rgb":
        msg = f"{run.path}: this run was trained with --input rgb: its network takes pixels, not coefficients"
        raise TrainingError(msg)


def _crop(run: TrainedRun) -> CentreCrop:
    """Return what validation saw of an image."""
    rows, columns = run.grid
    if rows != columns:
        msg = f"{run.path}: trained on {rows}x{columns} blocks: files can be brought to squares only"
        raise TrainingError(msg)
    return eval_crop(run.config) or CentreCrop(size=BLOCK_SIZE * rows)


def _steps(build: BuildOptions, channels: ChannelMask) -> Tensor:
    """Return the steps of what is normalized."""
    if build.size is None or build.exact:
        return torch.ones(len(channels))
    return torch.from_numpy(fixed_steps()[channels.indices])


def _sample(image: ImageFile, name: str, build: BuildOptions) -> Sample:
    try:
        if isinstance(image, bytes):
            return extract(image, build.per_sample)
        name = str(image)
        return extract(read_file(image), build.per_sample)
    except SourceError as error:
        msg = f"{name}: {error}"
        raise type(error)(msg) from error


def _joined(samples: Sequence[Sample]) -> FrequencyBatch:
    """Return samples as a batch of all channels."""
    n = len(samples)
    blocks = np.zeros((n, N_COMPONENTS, 2), dtype=np.int32)
    sampling = np.zeros((n, N_COMPONENTS, 2), dtype=np.uint8)
    steps = np.ones((n, N_COMPONENTS, N_FREQUENCIES), dtype=np.float32)
    starts = np.zeros((n, N_COMPONENTS), dtype=np.int64)
    flats: list[list[Any]] = [[np.empty(0, dtype=np.int16)] for _ in range(N_COMPONENTS)]
    used = [0] * N_COMPONENTS
    for i, sample in enumerate(samples):
        for c, part in enumerate(sample.components):
            blocks[i, c], sampling[i, c] = part.coefficients.shape[1:], (part.h, part.v)
            steps[i, c], starts[i, c] = part.quantization, used[c]
            flats[c].append(part.coefficients.reshape(-1))
            used[c] += part.coefficients.size
    return FrequencyBatch(
        channels=ChannelMask.from_indices(range(N_CHANNELS), name="all"),
        parts=(tuple(torch.from_numpy(np.concatenate(flat)) for flat in flats),),
        part=np.zeros(n, dtype=np.intp),
        quantization=torch.from_numpy(steps),
        labels=torch.zeros(n, dtype=torch.int64),
        starts=starts,
        blocks=blocks,
        sampling=sampling,
        width=np.array([sample.width for sample in samples], dtype=np.int32),
        height=np.array([sample.height for sample in samples], dtype=np.int32),
    )

"""Random numbers of a training step, as a function of the seed and the step alone.

Nothing random is carried from step to step: a run that goes on inside an epoch needs no generator's state. Numbers
are drawn for the images of a step on all processes together, and each process takes those of its own images, so that
an image's mirroring, crop and gate noise do not depend on how many processes there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from freqcache.crops import Crop, Pixels
from freqcache.resampling.geometry import Crops

AUGMENTATION, NOISE, MIXING, NETWORK = range(4)
"""What numbers are drawn for; each has a stream of its own."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Where a part of a batch stands among all that the run draws numbers for.

    Attributes
    ----------
    seed, epoch, step : int
        Of the run, and the part's place in it.
    images : int
        Images of the step on all processes together.
    rank, world_size : int
        Of these images the process has every `world_size`-th, from `rank` on.
    """

    seed: int
    epoch: int
    step: int
    images: int
    rank: int = 0
    world_size: int = 1

    @property
    def rows(self) -> slice:
        """The process's own images, as :class:`~freqcache.loading.loader.FrequencyLoader` deals them.

        Numbers are drawn alike on every process for all images, so that how many processes there are changes nothing.
        """
        return slice(self.rank, None, self.world_size)

    def generator(self, purpose: int, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a generator for one purpose, the same on every process."""
        return torch.Generator(device=device).manual_seed(self.number(purpose))

    def number(self, purpose: int) -> int:
        """Return a seed for one purpose, the same on every process."""
        sequence = np.random.SeedSequence((self.seed, self.epoch, self.step, purpose))
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)  # torch takes 63 bits on every device


@dataclass(frozen=True, kw_only=True)
class SharedCrop:
    """A crop whose numbers are drawn for the images of all processes.

    Attributes
    ----------
    crop : Crop
        What chooses the parts.
    draws : Draws
        Of the step.
    """

    crop: Crop
    draws: Draws

    @property
    def size(self) -> int:
        """Side of the output in pixels."""
        return self.crop.size

    def draw(self, width: Pixels, height: Pixels, generator: torch.Generator | None = None) -> Crops:
        """Choose a part of each of the process's images, of these sizes."""
        rows = self.draws.rows
        # An image's part depends on its own size and numbers only; what stands for the other processes' has no effect.
        sizes = np.full((2, self.draws.images), self.crop.size, dtype=np.int64)
        sizes[:, rows] = width, height
        return self.crop.draw(sizes[0], sizes[1], generator).take(rows)

"""Which part of each image becomes the input: a random part for training, the centre for evaluation.

The numbers are those of torchvision's ``RandomResizedCrop``, ``Resize`` and ``CenterCrop``; that the resize happens on
coefficients is :mod:`freqcache.resampling`'s matter. Boxes are drawn in main memory: their numbers decide the sizes of
everything that happens on a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from freqcache.resampling.geometry import Crops

if TYPE_CHECKING:
    import torch

_ATTEMPTS: Final = 10
_NUMBERS: Final = 2 * _ATTEMPTS + 3
"""Random numbers an image: area and shape of each attempt, place, mirror. Always all: a batch equals single draws."""

Pixels = npt.NDArray[np.integer[Any]]


class Crop(Protocol):
    """A way to choose the part of an image."""

    @property
    def size(self) -> int:
        """Side of the output in pixels."""

    def draw(self, width: Pixels, height: Pixels, generator: torch.Generator | None = None) -> Crops:
        """Choose a part of each of the images of these sizes."""


def _check_size(size: int) -> None:
    if type(size) is not int or size < 8 or size % 8:
        msg = f"size: expected a positive multiple of 8 pixels, found {size}"
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class CentreCrop:
    """The short side resized, the centre square cut out.

    Attributes
    ----------
    size : int
        Side of the square in pixels, a multiple of 8.
    resize : int or None
        What the short side is resized to first; `size` itself by default, and 0 to leave images as they are.

    Raises
    ------
    ValueError
        For sizes that cannot be.
    """

    size: int
    resize: int | None = None

    def __post_init__(self) -> None:
        _check_size(self.size)
        if self.resize is not None and self.resize != 0 and self.resize < self.size:
            msg = f"resize: expected 0 or at least the {self.size} pixels of the crop, found {self.resize}"
            raise ValueError(msg)

    def draw(self, width: Pixels, height: Pixels, generator: torch.Generator | None = None) -> Crops:
        """Return the centre of each image; nothing is random.

        Parameters
        ----------
        width, height : (images,) int
            Pixels.
        generator : torch.Generator, optional
            Not used.

        Raises
        ------
        ValueError
            If an image is smaller than the crop, where it is not resized.
        """
        del generator
        full = np.stack([height, width]).astype(np.int64)
        short = full.min(axis=0)
        resized = full if self.resize == 0 else (self.resize or self.size) * full // np.maximum(short, 1)
        small = np.flatnonzero(resized.min(axis=0) < self.size)
        if len(small):
            i = small[0]
            image = f"image {i} of {width[i]}x{height[i]} pixels"
            msg = f"a crop of {self.size} pixels is larger than {image}; give a resize"
            raise ValueError(msg)
        first = np.rint((resized - self.size) / 2).astype(np.int64)
        nothing = np.zeros(len(short))
        return Crops(
            top=nothing,
            left=nothing,
            height=full[0].astype(np.float64),
            width=full[1].astype(np.float64),
            n_rows=resized[0],
            n_columns=resized[1],
            first_row=first[0],
            first_column=first[1],
            size=(self.size, self.size),
            flip=np.zeros(len(short), dtype=np.bool_),
        )


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """A random part of the image, resized to a square, and mirrored by chance.

    Attributes
    ----------
    size : int
        Side of the square in pixels, a multiple of 8.
    scale : (float, float)
        Least and largest share of the image's area.
    ratio : (float, float)
        Least and largest width of the part through its height.
    flip : float
        Probability of mirroring left to right.

    Raises
    ------
    ValueError
        For numbers that cannot be.
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    def __post_init__(self) -> None:
        _check_size(self.size)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            msg = f"scale: expected shares 0 < least <= largest <= 1, found {self.scale}"
            raise ValueError(msg)
        if not 0 < self.ratio[0] <= self.ratio[1] < inf:
            msg = f"ratio: expected 0 < least <= largest, found {self.ratio}"
            raise ValueError(msg)
        if not 0 <= self.flip <= 1:
            msg = f"flip: expected a probability, found {self.flip}"
            raise ValueError(msg)

    def draw(self, width: Pixels, height: Pixels, generator: torch.Generator | None = None) -> Crops:
        """Draw a box in each image.

        Up to ten attempts at an area and a shape; where none fits, the largest centred box of an allowed shape.

        Parameters
        ----------
        width, height : (images,) int
            Pixels.
        generator : torch.Generator, optional
            On the CPU; torch's global one by default.
        """
        import torch  # builds choose crops too, and do without torch

        images = len(width)
        numbers = torch.rand((images, _NUMBERS), dtype=torch.float64, generator=generator).numpy()
        wide, tall = (np.asarray(n).astype(np.float64) for n in (width, height))
        area = (wide * tall)[:, None] * (self.scale[0] + (self.scale[1] - self.scale[0]) * numbers[:, :_ATTEMPTS])
        shapes = log(self.ratio[0]) + (log(self.ratio[1]) - log(self.ratio[0])) * numbers[:, _ATTEMPTS : 2 * _ATTEMPTS]
        columns, rows = np.rint(np.sqrt(area * np.exp(shapes))), np.rint(np.sqrt(area / np.exp(shapes)))
        fits = (columns > 0) & (columns <= wide[:, None]) & (rows > 0) & (rows <= tall[:, None])
        attempt = (np.arange(images), fits.argmax(axis=1))
        found = fits[attempt]
        box_width = np.where(found, columns[attempt], np.minimum(wide, np.maximum(np.rint(tall * self.ratio[1]), 1)))
        box_height = np.where(found, rows[attempt], np.minimum(tall, np.maximum(np.rint(wide / self.ratio[0]), 1)))
        place = numbers[:, 2 * _ATTEMPTS :]
        full = np.full(images, self.size, dtype=np.int64)
        nothing = np.zeros(images, dtype=np.int64)
        return Crops(
            top=np.where(found, np.floor(place[:, 0] * (tall - box_height + 1)), (tall - box_height) // 2),
            left=np.where(found, np.floor(place[:, 1] * (wide - box_width + 1)), (wide - box_width) // 2),
            height=box_height,
            width=box_width,
            n_rows=full,
            n_columns=full,
            first_row=nothing,
            first_column=nothing,
            size=(self.size, self.size),
            flip=place[:, 2] < self.flip,
            cut=True,
        )

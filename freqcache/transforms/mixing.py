"""Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019) of a batch with itself.

Both follow ``torchvision.transforms.v2``: the partner of an image is the one before it in the batch, the last one for
the first, and one share, drawn from Beta(alpha, alpha), holds for the whole batch. The DCT is linear, so mixing
coefficients is mixing pixels, before normalization or after it: its mean is subtracted in full, for the shares add up
to 1. CutMix cuts between blocks.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
import torch
from torch import Tensor, nn

from freqcache.transforms.rectangles import grid_of, is_inside
from freqcache.transforms.sending import sent


class Mixup(nn.Module):
    """Average each image of a batch with its partner.

    Parameters
    ----------
    alpha : float
        Of the Beta distribution of the share that an image keeps: 1 is uniform, small numbers mix little.
    classes : int
        Number of classes, 2 or more.

    Raises
    ------
    ValueError
        If `alpha` is not positive and finite, or there are fewer than two classes.
    """

    def __init__(self, alpha: float, classes: int) -> None:
        super().__init__()
        _check_options(alpha, classes)
        self.alpha = alpha
        self.classes = classes

    def forward(self, x: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Parameters
        ----------
        x : (B, C, H, W)
            Coefficients or pixels.
        labels : (B,) int
            Classes.
        generator : torch.Generator, optional
            On the CPU.

        Returns
        -------
        mixed : (B, C, H, W)
            ``share * x + (1 - share) * x.roll(1, 0)``; float32 for integers.
        targets : (B, classes) float32
            The same average of the labels, one-hot.

        Raises
        ------
        ValueError
            If a label is not a class, or there is not one for each image.
        """
        targets = _one_hot(labels, x.shape[0], self.classes)
        share = _draw_share(self.alpha, generator).float()
        return _average(x, share), _average(targets, share)


class CutMix(nn.Module):
    """Replace a random rectangle of blocks of each image by its partner's.

    The rectangle has the image's shape, rounded to whole blocks, and its centre anywhere in the grid; what lies beyond
    the grid is cut off. Targets are weighted by the area that was replaced in the end.

    Parameters
    ----------
    alpha : float
        Of the Beta distribution of the share of its area that an image keeps, before rounding and cutting off.
    classes : int
        Number of classes, 2 or more.
    step : int
        Rows of the input per block: 1 for coefficients, 4 for the pixels of :class:`ToPixels`.

    Raises
    ------
    ValueError
        If `alpha` is not positive and finite, or there are fewer than two classes.
    """

    def __init__(self, alpha: float, classes: int, step: int = 1) -> None:
        super().__init__()
        _check_options(alpha, classes)
        self.alpha = alpha
        self.classes = classes
        self.step = step

    def draw(self, grid: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw the rectangle of a batch, on the CPU.

        Parameters
        ----------
        grid : (int, int)
            Rows and columns of blocks.
        generator : torch.Generator, optional
            On the CPU.

        Returns
        -------
        (4, 1) int64
            First row, row after the last, first column, column after the last.
        """
        side = (1 - _draw_share(self.alpha, generator)).sqrt()
        size = torch.tensor(grid, dtype=torch.float64)
        extent = (side * size).round()
        centre = (torch.rand(2, generator=generator, dtype=torch.float64) * size).floor()
        first = centre - (extent / 2).floor()
        top, left = first.clamp_min(0)
        bottom, right = torch.minimum(first + extent, size)
        return torch.stack([top, bottom, left, right]).long()[:, None]

    def forward(self, x: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Mix a batch; parameters, errors and targets are those of :meth:`Mixup.forward`.

        Returns
        -------
        mixed : (B, C, H, W)
            Of the type of x.
        targets : (B, classes) float32
            The share that an image keeps times its one-hot label, plus the rest times its partner's.
        """
        targets = _one_hot(labels, x.shape[0], self.classes)
        grid = grid_of(x, self.step)
        edges = self.draw(grid, generator)
        area = (edges[1] - edges[0]) * (edges[3] - edges[2])  # (1,)
        share = 1 - area.float() / (grid[0] * grid[1])
        mixed = torch.where(is_inside(sent(edges, x.device), grid, self.step), x.roll(1, 0), x)
        return mixed, _average(targets, share)


def _check_options(alpha: float, classes: int) -> None:
    if not (isfinite(alpha) and alpha > 0):
        msg = f"alpha must be positive, found {alpha}"
        raise ValueError(msg)
    if classes < 2:
        msg = f"mixing labels needs at least 2 classes, found {classes}"
        raise ValueError(msg)


def _draw_share(alpha: float, generator: torch.Generator | None) -> Tensor:
    """Draw from Beta(alpha, alpha): () float64 on the CPU."""
    # torch's own Beta takes no generator. NumPy's does, and its seed comes from the given one. Both are passed on as
    # arrays: torch.compile would compile anew for every Python number.
    seed = torch.randint(2**31, (4,), generator=generator).numpy()
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, 1))[0]


def _average(x: Tensor, share: Tensor) -> Tensor:
    """Average with the one before: `share` is () or (1,), in main memory."""
    share = sent(share, x.device)
    return x * share + x.roll(1, 0) * (1 - share)


def _one_hot(labels: Tensor, count: int, classes: int) -> Tensor:
    """Return (count, classes) float32, after a check that every label is a class: in main memory, where it is free."""
    if labels.shape != (count,) or labels.is_floating_point():
        msg = f"expected {count} integer labels, found {labels.dtype} of shape {tuple(labels.shape)}"
        raise ValueError(msg)
    is_outside = (labels < 0) | (labels >= classes)
    if labels.device.type == "cpu" and bool(is_outside.any()):
        i = int(is_outside.nonzero()[0, 0])
        msg = f"label {int(labels[i])} of image {i} is outside 0..{classes - 1}"
        raise ValueError(msg)
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()

"""Random erasing (Zhong et al., AAAI 2020) of whole blocks.

The rectangle's area and shape are drawn as torchvision's ``RandomErasing`` draws them, with blocks for pixels. Erasing
a part of a block would mix its frequencies, and is not here.
"""

from __future__ import annotations

from math import isfinite, log
from typing import Final

import torch
from torch import Tensor, nn

from freqcache.transforms.rectangles import grid_of, is_inside

_ATTEMPTS: Final = 10  # torchvision's


class RandomErasing(nn.Module):
    """Overwrite a random rectangle of blocks of each image, with probability `p`.

    Used after normalization, where 0 is each channel's mean: the blocks of the mean image take the rectangle's place.

    Parameters
    ----------
    p : float
        Probability of erasing in an image.
    scale : (float, float)
        Least and largest share of the image's area.
    ratio : (float, float)
        Least and largest ratio of height to width; its logarithm is drawn uniformly.
    value : float
        What is written.
    step : int
        Rows of the input per block: 1 for coefficients, 4 for the pixels of :class:`ToPixels`.

    Raises
    ------
    ValueError
        If a number is outside its range, or a pair is not in order.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
        step: int = 1,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            msg = f"expected a probability in 0..1, found {p}"
            raise ValueError(msg)
        if not 0 <= scale[0] <= scale[1] <= 1:
            msg = f"expected shares of the area in 0..1 in increasing order, found {scale}"
            raise ValueError(msg)
        if not (0 < ratio[0] <= ratio[1] and isfinite(ratio[1])):
            msg = f"expected positive ratios of height to width in increasing order, found {ratio}"
            raise ValueError(msg)
        self.p = p
        self.scale = scale
        self.log_ratio = (log(ratio[0]), log(ratio[1]))
        self.value = value
        self.step = step

    def draw(self, n: int, grid: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw one rectangle for each of `n` images, on the CPU.

        Parameters
        ----------
        n : int
            Images.
        grid : (int, int)
            Rows and columns of blocks.
        generator : torch.Generator, optional
            On the CPU.

        Returns
        -------
        (4, n) int64
            First row, row after the last, first column, column after the last. All are 0 where nothing is erased:
            by chance, or because none of ten rectangles was lower and narrower than the grid.
        """
        rows, cols = grid
        is_chosen = torch.rand(n, generator=generator, dtype=torch.float64) < self.p
        shape = torch.rand(2, _ATTEMPTS, n, generator=generator, dtype=torch.float64)
        place = torch.rand(2, n, generator=generator, dtype=torch.float64)
        area = rows * cols * _between(self.scale, shape[0])
        ratio = _between(self.log_ratio, shape[1]).exp()
        # On a small grid a rectangle may round to nothing; it then has one block.
        heights = (area * ratio).sqrt().round().clamp_min(1)  # (attempts, n)
        widths = (area / ratio).sqrt().round().clamp_min(1)
        fits = (heights < rows) & (widths < cols)
        first = fits.int().argmax(0, keepdim=True)  # the first that fits, as if the others had not been drawn
        is_erased = is_chosen & fits.any(0)
        height = heights.gather(0, first)[0] * is_erased
        width = widths.gather(0, first)[0] * is_erased
        top = (place[0] * (rows - height + 1)).floor() * is_erased
        left = (place[1] * (cols - width + 1)).floor() * is_erased
        return torch.stack([top, top + height, left, left + width]).long()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a copy of x, (B, C, H, W), with rectangles erased; `generator` lives on the CPU."""
        grid = grid_of(x, self.step)
        edges = self.draw(x.shape[0], grid, generator).to(x.device)
        return torch.where(is_inside(edges, grid, self.step), self.value, x)


def _between(pair: tuple[float, float], uniform: Tensor) -> Tensor:
    """Bring numbers in [0, 1) to the range of the pair."""
    return pair[0] + (pair[1] - pair[0]) * uniform

"""Which values of a batch lie in given rectangles of blocks, by comparisons: no loop over images."""

from __future__ import annotations

import torch
from torch import Tensor


def grid_of(x: Tensor, step: int) -> tuple[int, int]:
    """Return the rows and columns of blocks of x, (B, C, H, W), with `step` rows of values to a block.

    Raises
    ------
    ValueError
        If H or W is not a whole number of blocks.
    """
    height, width = x.shape[-2:]
    if height % step or width % step:
        msg = f"expected whole blocks of {step} rows and columns, found {height} x {width}"
        raise ValueError(msg)
    return height // step, width // step


def is_inside(edges: Tensor, grid: tuple[int, int], step: int) -> Tensor:
    """Mark the values inside one rectangle an image.

    Parameters
    ----------
    edges : (4, N) int64
        First row, row after the last, first column, column after the last, in blocks.
    grid : (int, int)
        Rows and columns of blocks.
    step : int
        Rows and columns of values to a block.

    Returns
    -------
    (N, 1, step * rows, step * cols) bool
        On the device of `edges`.
    """
    top, bottom, left, right = edges[:, :, None]
    row = torch.arange(step * grid[0], device=edges.device) // step
    col = torch.arange(step * grid[1], device=edges.device) // step
    in_rows = (row >= top) & (row < bottom)  # (N, step * rows)
    in_cols = (col >= left) & (col < right)  # (N, step * cols)
    inside: Tensor = in_rows[:, None, :, None] & in_cols[:, None, None, :]
    return inside

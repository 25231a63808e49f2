"""Which items to look at where some stand for all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def spread(n_items: int, count: int) -> npt.NDArray[np.intp]:
    """Return up to `count` of the numbers 0..n_items - 1, evenly spread from the first to the last."""
    return np.linspace(0, n_items - 1, min(n_items, count)).astype(np.intp)

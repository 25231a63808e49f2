"""From stored coefficients to the numbers that a network takes: dequantized and standardized in one pass.

Nothing here measures means and deviations: see :meth:`freqcache.FrequencyDataset.normalization`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Dequantize and standardize: ``(x * scale - mean) / std``, as float32.

    Parameters
    ----------
    mean, std : (C,) float
        Of dequantized coefficients. A channel whose `std` is 0 carries nothing and becomes ``x - mean``.
    scale : (C,) float
        Quantization step of each channel: ``x * scale`` are dequantized coefficients.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, mean: Tensor, std: Tensor, scale: Tensor) -> None:
        super().__init__()
        divisor = torch.where(std > 0, std, torch.ones_like(std)).double()
        # One multiplication and one addition over the batch instead of three passes.
        self.register_buffer("factor", (scale.double() / divisor).float()[:, None, None])
        self.register_buffer("offset", (-mean.double() / divisor).float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) float32, in channels-last memory, of stored coefficients of any type."""
        # The layout that convolutions like is cheapest made while the numbers are still one or two bytes.
        return torch.addcmul(self.offset, x.contiguous(memory_format=torch.channels_last).float(), self.factor)

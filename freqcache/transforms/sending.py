"""Small tensors on their way to the device, such as what was drawn for a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of main memory on a device, without waiting for what the device still has to do.

    A copy from ordinary memory would wait: CUDA reads it when its turn comes, and the memory may have gone.
    """
    if device.type != "cuda":
        return drawn.to(device)
    return drawn.pin_memory().to(device, non_blocking=True)

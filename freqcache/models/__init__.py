"""Networks that take frequency channels (or RGB, for comparison) and count what they cost.

:func:`create_model` builds any of them by name; parameter names follow torchvision's, so that state dicts are
plain and RGB checkpoints can be mapped onto the trunk.
"""

from __future__ import annotations

from freqcache.models.cost import NetworkCost, count_cost
from freqcache.models.registry import ARCHITECTURES, INPUTS, create_model
from freqcache.models.resnet import STRIDES, ResNet

__all__ = ["ARCHITECTURES", "INPUTS", "STRIDES", "NetworkCost", "ResNet", "count_cost", "create_model"]

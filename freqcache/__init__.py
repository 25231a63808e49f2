"""freqcache: learning in the frequency domain.

JPEG coefficients, cached by channel in Zarr v3, for training vision models. The names below are loaded when first
used, so that ``import freqcache`` costs nothing: ``open``, ``build``, ``make_hot``, ``FrequencyDataset``,
``FrequencyLoader``, ``FrequencyBatchSampler`` and ``ChannelMask``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freqcache.building import BuildOptions, build
    from freqcache.building.hot import make_hot
    from freqcache.dataset import FrequencyDataset
    from freqcache.loading.loader import FrequencyLoader
    from freqcache.loading.sampler import FrequencyBatchSampler
    from freqcache.store import open_store as open  # noqa: A004  (the public name; see below)
    from freqcache_formats import Channel, ChannelMask

__version__ = "0.1.0"

__all__ = [
    "BuildOptions",
    "Channel",
    "ChannelMask",
    "FrequencyBatchSampler",
    "FrequencyDataset",
    "FrequencyLoader",
    "__version__",
    "build",
    "make_hot",
    "open",
]

_HOMES = {
    "BuildOptions": ("freqcache.building.options", "BuildOptions"),
    "Channel": ("freqcache_formats", "Channel"),
    "ChannelMask": ("freqcache_formats", "ChannelMask"),
    "FrequencyBatchSampler": ("freqcache.loading.sampler", "FrequencyBatchSampler"),
    "FrequencyDataset": ("freqcache.dataset", "FrequencyDataset"),
    "FrequencyLoader": ("freqcache.loading.loader", "FrequencyLoader"),
    "build": ("freqcache.building.run", "build"),
    "make_hot": ("freqcache.building.hot", "make_hot"),
    "open": ("freqcache.store", "open_store"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'freqcache' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

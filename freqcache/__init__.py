"""freqcache: learning in the frequency domain.

JPEG coefficients, cached by channel in Zarr v3, for training vision models. The names below are loaded when first
used, so that ``import freqcache`` costs nothing: ``open``, ``build``, ``Item``, ``make_hot``, ``to_jpeg``,
``export_jpegs``, ``FrequencyDataset``, ``FrequencyLoader``, ``FrequencyBatchSampler`` and ``ChannelMask``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freqcache.building import BuildOptions, build
    from freqcache.building.hot import make_hot
    from freqcache.dataset import FrequencyDataset
    from freqcache.exporting import export_jpegs, to_jpeg
    from freqcache.loading.loader import FrequencyLoader
    from freqcache.loading.sampler import FrequencyBatchSampler
    from freqcache.sources import Item
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
    "Item",
    "__version__",
    "build",
    "export_jpegs",
    "make_hot",
    "open",
    "to_jpeg",
]

_HOMES = {
    "BuildOptions": ("freqcache.building.options", "BuildOptions"),
    "Channel": ("freqcache_formats", "Channel"),
    "ChannelMask": ("freqcache_formats", "ChannelMask"),
    "FrequencyBatchSampler": ("freqcache.loading.sampler", "FrequencyBatchSampler"),
    "FrequencyDataset": ("freqcache.dataset", "FrequencyDataset"),
    "FrequencyLoader": ("freqcache.loading.loader", "FrequencyLoader"),
    "Item": ("freqcache.sources.items", "Item"),
    "build": ("freqcache.building.run", "build"),
    "export_jpegs": ("freqcache.exporting", "export_jpegs"),
    "make_hot": ("freqcache.building.hot", "make_hot"),
    "open": ("freqcache.store", "open_store"),
    "to_jpeg": ("freqcache.exporting", "to_jpeg"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'freqcache' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

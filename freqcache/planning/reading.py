"""What reading the channels of a mask costs when a network is trained: bytes by the store, speed by reading it.

The speed is that of one reading thread, of a store that the system holds in memory; what a network does is not in it.
Random crops of a native cache mix frequencies, so that more channels are read than the mask has: those bytes are said
too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from freqcache.crops import RandomResizedCrop
from freqcache.dataset import FrequencyDataset
from freqcache.loading.loader import FrequencyLoader
from freqcache.planning.report import MaskPlan
from freqcache.planning.sampling import Float
from freqcache.sources.tree import UNSPLIT

CROP: Final = 224
"""Side in pixels of the crops for which a native cache is read."""

_BATCH: Final = 32
_EPOCHS: Final = 5
_SECONDS: Final = 0.25
"""The best of so many epochs counts, or of as many as begin in so many seconds."""


def measure_reading(
    store: Path, masks: Sequence[str], chunk_bytes: float, sampled_bytes: float, channel_share: Float
) -> tuple[MaskPlan, ...]:
    """Read a small store through the loader, mask by mask.

    Parameters
    ----------
    store : Path
        Of the sample.
    masks : sequence of str
        Presets.
    chunk_bytes : float
        Of all channels of an image, the mean over all files that become samples.
    sampled_bytes : float
        The same over the store's own images, which are larger or smaller.
    channel_share : (192,) float64
        Each channel's part of them.
    """
    plans = []
    for mask in masks:
        dataset = FrequencyDataset(store, split=UNSPLIT, channels=mask)
        loader = FrequencyLoader(dataset, _BATCH, shuffle=True, access="groups")
        _epoch(loader)  # compiles, and fills the system's memory
        times: list[float] = []
        while len(times) < _EPOCHS and sum(times) < _SECONDS:
            times.append(_epoch(loader))
        rate = len(dataset) / max(min(times), 1e-9)
        cropped = None
        if dataset.store.kind == "native":
            crops = FrequencyDataset(store, split=UNSPLIT, channels=mask, crop=RandomResizedCrop(size=CROP))
            cropped = chunk_bytes * float(channel_share[crops.held_channels.indices].sum())
        plans.append(
            MaskPlan(
                mask=mask,
                channels=len(dataset.channels),
                bytes_per_image=chunk_bytes * float(channel_share[dataset.channels.indices].sum()),
                cropped_bytes_per_image=cropped,
                images_per_second=rate * sampled_bytes / chunk_bytes if chunk_bytes > 0 else rate,
            )
        )
    return tuple(plans)


def _epoch(loader: FrequencyLoader) -> float:
    """Return the seconds of one pass."""
    began = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - began

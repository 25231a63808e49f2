"""Stores on disk: shard files, their chunk codecs, and the reader of whole stores."""

from __future__ import annotations

from freqcache.store.batches import NativeBatch, NativeSample
from freqcache.store.split import FixedSplit, NativeSplit, Split
from freqcache.store.store import Store, open_store

__all__ = ["FixedSplit", "NativeBatch", "NativeSample", "NativeSplit", "Split", "Store", "open_store"]

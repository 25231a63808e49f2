"""Stores on disk: shard files, their chunk codecs, and the reader of whole stores."""

from __future__ import annotations

from freqcache.store.batches import NativeBatch, NativeSample
from freqcache.store.fixed import FixedSplit
from freqcache.store.native import NativeSplit
from freqcache.store.split import Split
from freqcache.store.store import Store, open_store

__all__ = ["FixedSplit", "NativeBatch", "NativeSample", "NativeSplit", "Split", "Store", "open_store"]

"""Stores on disk: shard files, their chunk codecs, and the reader of whole stores."""

from __future__ import annotations

from freqcache.store.store import NativeSample, Split, Store, open_store

__all__ = ["NativeSample", "Split", "Store", "open_store"]

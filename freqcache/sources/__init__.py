"""Sources of images: how they are listed, and how the bytes of their files are read."""

from __future__ import annotations

from freqcache.sources.items import Item
from freqcache.sources.kinds import list_source
from freqcache.sources.tree import SPLITS, SourceFile, SourceReader, SourceTree

__all__ = ["SPLITS", "Item", "SourceFile", "SourceReader", "SourceTree", "list_source"]

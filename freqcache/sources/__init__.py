"""Sources of images: how they are listed, and how the bytes of their files are read."""

from __future__ import annotations

from pathlib import Path

from freqcache.sources.folder import list_folder
from freqcache.sources.tree import SPLITS, SourceFile, SourceReader, SourceTree

__all__ = ["SPLITS", "SourceFile", "SourceReader", "SourceTree", "list_source"]


def list_source(source: str | Path) -> SourceTree:
    """List the images of a source, whatever its kind.

    Raises
    ------
    BuildError
        If it is none, or holds no images.
    """
    return list_folder(source)

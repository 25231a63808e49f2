"""Builds a cache: files in, one store out."""

from __future__ import annotations

from freqcache.building.options import BuildOptions, BuildReport, LedgerEntry
from freqcache.building.run import build, build_tree

__all__ = ["BuildOptions", "BuildReport", "LedgerEntry", "build", "build_tree"]

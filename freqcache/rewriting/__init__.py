"""Makes stores of stores: :func:`subset`, :func:`merge`, :func:`repack`. No image is decoded, no integer changes."""

from __future__ import annotations

from freqcache.rewriting.operations import merge, repack, subset
from freqcache.rewriting.report import RewriteReport
from freqcache.rewriting.selection import Selection, read_lines

__all__ = ["RewriteReport", "Selection", "merge", "read_lines", "repack", "subset"]

"""What would be too much to hold in memory, kept beside it: bytes, rows with text, and their sorting."""

from __future__ import annotations

from freqcache.scratch.columns import Column
from freqcache.scratch.folders import scratch_folder
from freqcache.scratch.made import MadeSequence
from freqcache.scratch.pieces import Scratch
from freqcache.scratch.place import temporary_folder
from freqcache.scratch.rows import CHUNK_ROWS, Chunk, RowTable, regrouped
from freqcache.scratch.sorting import KEY, NUMBERED, keys_of, sorted_rows

__all__ = [
    "CHUNK_ROWS",
    "KEY",
    "NUMBERED",
    "Chunk",
    "Column",
    "MadeSequence",
    "RowTable",
    "Scratch",
    "keys_of",
    "regrouped",
    "scratch_folder",
    "sorted_rows",
    "temporary_folder",
]

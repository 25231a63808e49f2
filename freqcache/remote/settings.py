"""The cache folder that every store at a URL uses, where none is named: two environment variables.

Worker processes, the ranks of torchrun and the runs of a sweep inherit them, each machine of a cluster may have its
own, and nothing of it is written into a run or a mask. Credentials are not here: they are fsspec's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from freqcache.byte_sizes import parse_bytes
from freqcache.errors import StoreError
from freqcache.remote.range_cache import DEFAULT_BYTES, RangeCache

CACHE_DIR: Final = "FREQCACHE_CACHE_DIR"
"""Environment variable: the folder; empty for none."""

CACHE_SIZE: Final = "FREQCACHE_CACHE_SIZE"
"""Environment variable: what it may take, such as 50GB."""


def choose_cache(folder: str | Path | None, size: int | None) -> RangeCache | None:
    """Return the cache that was named, or else that of the environment, if there is one.

    Parameters
    ----------
    folder : path, optional
        As named.
    size : int, optional
        Its bytes, as named.

    Raises
    ------
    StoreError
        If the folder cannot be used, or the size makes no sense.
    """
    if folder is None:
        folder = os.environ.get(CACHE_DIR) or None
    if folder is None:
        return None
    return RangeCache(folder, _size_of_environment() if size is None else size)


def _size_of_environment() -> int:
    text = os.environ.get(CACHE_SIZE)
    if not text:
        return DEFAULT_BYTES
    try:
        return int(parse_bytes(text))
    except ValueError as error:
        msg = f"{CACHE_SIZE}: {error}"
        raise StoreError(msg) from error

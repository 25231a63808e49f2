"""Files in object stores and elsewhere, by URL: everything that fsspec knows, with bounded retries and a cache."""

from __future__ import annotations

from freqcache.remote.files import RemoteFiles, is_url
from freqcache.remote.paths import RemotePath
from freqcache.remote.range_cache import RangeCache

__all__ = ["RangeCache", "RemoteFiles", "RemotePath", "is_url"]

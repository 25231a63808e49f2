"""Engines: what runs the tasks of a build, on this machine or on many.

A build is made of tasks that need nothing but their description and are harmless to repeat: batches of headers, and
shards. The local engine is :mod:`freqcache.workers`. Nothing here is imported from Dask before a
:class:`DaskEngine` connects.
"""

from __future__ import annotations

from freqcache.engines.choosing import check_workers, engine_of
from freqcache.engines.cluster import DaskEngine
from freqcache.engines.engine import Engine, abandoned_early
from freqcache.engines.executor import ExecutorEngine

__all__ = ["DaskEngine", "Engine", "ExecutorEngine", "abandoned_early", "check_workers", "engine_of"]

"""Where the time goes, of a build for one: functions of freqcache wrapped by clocks, each counting its own time only.

A part's time is that of its functions without what they spend in other parts, so the parts and the rest add up to the
whole. The functions are named here by where they live; one that a version of freqcache does not have is said to be
missing, and its time then counts as its caller's.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

PARTS = {
    "reading headers, laying out": ["freqcache.building.run:_plan"],
    "reading files": ["freqcache.sources.folder:read_file"],
    "hashing (XXH3)": ["freqcache.building.files:xxhash.xxh3_128_digest"],
    "extraction": ["freqcache.building.files:extract"],
    "statistics, copying into row groups": ["freqcache.statistics:Accumulator.add"],
    "filling row groups": ["freqcache.building.shard:_Shard.fill"],
    "compression, CRC-32C": ["freqcache.store.encoding:ChunkEncoder.encode"],
    "writing shards": ["freqcache.store.shards:ShardWriter.append", "freqcache.store.shards:ShardWriter.finish"],
    "records and journal": ["freqcache.building.records:ShardRecord.write", "freqcache.building.run:Journal.__enter__"],
    "small arrays and metadata": ["freqcache.building.run:_finish"],
    "waiting for the disk (fsync)": ["os:fsync"],
}


class Clocks:
    """Own time of each part, in seconds by a clock."""

    def __init__(self, parts: Mapping[str, Sequence[str]], clock: Callable[[], float]) -> None:
        self.seconds = dict.fromkeys(parts, 0.0)
        self._clock = clock
        self.missing: list[str] = []
        self._inner: list[float] = []

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its clock."""

        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            self._inner.append(0.0)
            start = self._clock()
            try:
                return function(*arguments, **keywords)
            finally:
                whole = self._clock() - start
                self.seconds[part] += whole - self._inner.pop()
                if self._inner:
                    self._inner[-1] += whole

        return timed


@contextmanager
def clocks(
    parts: Mapping[str, Sequence[str]] = PARTS, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Clocks]:
    """Put the clocks on while this holds, in this process and one thread of it."""
    found = Clocks(parts, clock)
    with ExitStack() as stack:
        for part, places in parts.items():
            for place in places:
                module, _, path = place.partition(":")
                *owners, name = path.split(".")
                try:
                    owner = functools.reduce(getattr, owners, import_module(module))
                    function = getattr(owner, name)
                except (ImportError, AttributeError):
                    found.missing.append(place)
                    continue
                stack.enter_context(patch.object(owner, name, found.wrap(part, function)))
        yield found

"""Loaded into Dask's workers (``dask worker --preload``): tells a test what becomes of shards, and holds some up.

The environment says how. ``FREQCACHE_EVENTS`` is a named pipe for one line for each event: ``begun SPLIT SHARD``,
``ended SPLIT SHARD HOW`` or ``placed FILE`` (a path or a URL), and this process. ``FREQCACHE_GATE`` is a file: while
the test holds its lock, no shard of a later number than ``FREQCACHE_PASS`` is made. ``FREQCACHE_RELEASE`` is a version
to pretend.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import freqcache
from freqcache.building import shard as shard_module
from freqcache.building.files import FileSource
from freqcache.store.remote_targets import _RemoteFile
from freqcache.store.targets import _LocalFile


def tell(*words: object) -> None:
    """Write one line, which no other can come between."""
    with Path(os.environ["FREQCACHE_EVENTS"]).open("w") as pipe:
        pipe.write(" ".join(map(str, (*words, os.getpid()))) + "\n")


def install() -> None:
    """Wrap what makes shards in this process; Dask loads this file more than once."""
    if shard_module.build_shard.__name__ == "telling":
        return
    build_shard, contents = shard_module.build_shard, FileSource.contents
    place, send = _LocalFile.place, _RemoteFile.place

    def telling(task: Any) -> int:
        try:
            result = build_shard(task)
        except BaseException as error:
            tell("ended", task.split, task.number, type(error).__name__)
            raise
        tell("ended", task.split, task.number, "well")
        return result

    def held(self: FileSource, task: Any) -> Iterator[Any]:
        tell("begun", task.split, task.number)
        if task.number > int(os.environ["FREQCACHE_PASS"]):
            with Path(os.environ["FREQCACHE_GATE"]).open() as gate:
                fcntl.flock(gate, fcntl.LOCK_SH)
        yield from contents(self, task)

    def placing(self: _LocalFile) -> None:
        place(self)
        tell("placed", self._path)

    def sending(self: _RemoteFile) -> None:
        send(self)
        tell("placed", f"{self._target}/{self._key}")

    shard_module.build_shard = telling
    FileSource.contents = held
    _LocalFile.place, _RemoteFile.place = placing, sending


if "FREQCACHE_EVENTS" in os.environ:
    install()
if "FREQCACHE_RELEASE" in os.environ:
    freqcache.__version__ = os.environ["FREQCACHE_RELEASE"]

"""Measures how fast a store's masks are read on this machine, and Pillow on the source files beside them.

What is measured is reading alone: from stored bytes to batches of integers in memory, one process, no network, no
transform, no copy to a device. Whatever it is compared with takes turns with it. The store is never written to.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from freqcache.benchmarking import page_cache
from freqcache.benchmarking.memory import memory_bandwidth
from freqcache.benchmarking.options import ORDERS, STATES, BenchOptions, named_masks
from freqcache.benchmarking.passes import Pass, StoppedError, take_turns
from freqcache.benchmarking.readers import MEMORY, CacheReader, Files, PillowReader, Reader
from freqcache.benchmarking.report import PILLOW, BenchReport, Measurement
from freqcache.benchmarking.units import Items, units_of
from freqcache.dataset import FrequencyDataset
from freqcache.errors import StoreError
from freqcache.progress import progress
from freqcache.remote import RemotePath
from freqcache.sources import SourceFile, SourceReader, SourceTree, list_source
from freqcache.sources.spool import copy_files, temporary_spool
from freqcache.store import open_store
from freqcache.store.places import LocalPlace
from freqcache_formats.mask import ChannelMask

_MOST_FILES: Final = 20_000
"""Files that a pass of Pillow's may read, at most: none of them takes memory for long."""


def measure_reading(path: str | Path, options: BenchOptions | None = None, *, quiet: bool = False) -> BenchReport:
    """Measure how fast a store is read.

    Parameters
    ----------
    path : path or URL
        A store; only those in local folders are measured cold.
    options : BenchOptions, optional
        What to measure.
    quiet : bool
        Show no progress.

    Raises
    ------
    StoreError, MaskError, BuildError
        If the store, a mask or the source cannot be read, or the source does not hold the store's files.
    """
    with ExitStack() as stack:
        bench = _Bench(path, options or BenchOptions(), stack, quiet=quiet)
        bench.compile()
        return bench.run(time.perf_counter(), quiet=quiet)


@dataclass(frozen=True, kw_only=True)
class _Configuration:
    """A contender, and what the report says of it."""

    reader: Reader
    channels: str
    n_channels: int
    order: str
    hot: bool
    bytes_per_image: float

    def measurement(self, state: str, passes: Sequence[Pass], batch_size: int) -> Measurement:
        """Return what its passes say."""
        size = self.bytes_per_image
        if isinstance(self.reader, PillowReader):
            size = self.reader.bytes / max(1, self.reader.images)
        return Measurement(
            reader=PILLOW if isinstance(self.reader, PillowReader) else "freqcache",
            channels=self.channels,
            n_channels=self.n_channels,
            order=self.order,
            state=state,
            hot=self.hot,
            images=passes[0].images,
            batch_size=batch_size,
            bytes_per_image=size,
            rates=tuple(found.rate for found in passes),
        )


class _Bench:
    """One measurement, from its preparation to the report."""

    def __init__(self, path: str | Path, options: BenchOptions, stack: ExitStack, *, quiet: bool) -> None:
        self.options = options
        self._stack, self._quiet = stack, quiet
        store = open_store(path)
        split = options.split or ("train" if "train" in store.splits else store.splits[0])
        self.masks = named_masks(options.channels, store)
        first = next(iter(self.masks.values()))
        self.dataset = FrequencyDataset(path, split=split, channels=first, threads=options.threads)
        if not len(self.dataset):
            msg = f"{path}: split {split!r} has no samples to read"
            raise StoreError(msg)
        self.store, self.split = store, store[split]
        self.local = store.place.path if isinstance(store.place, LocalPlace) else None
        self.tree = None if options.source is None else list_source(options.source)
        self.notes: list[str] = []
        self._files: tuple[dict[int, SourceFile], SourceReader] | None = None  # of Pillow: the same in every state

    def compile(self) -> None:
        """Read a sample with every mask: kernels are compiled and kept on a machine's first run, which takes long."""
        for mask in self.masks.values():
            self.dataset.with_channels(mask).read_batch([0])

    def run(self, began: float, *, quiet: bool) -> BenchReport:
        """Measure."""
        options = self.options
        states = [state for state in STATES if state in options.states]
        everything = {state: self._configurations(state) for state in states}
        measurements: list[Measurement] = []
        with (
            _frozen_objects(),
            progress(
                sum(map(len, everything.values())) * options.repeats, "measuring", unit="passes", quiet=quiet
            ) as bar,
        ):
            for number, (state, configurations) in enumerate(everything.items()):
                left = max(0.0, began + options.seconds - time.perf_counter())
                measurements += self._measure(configurations, state, left / (len(states) - number), bar.update)
        return BenchReport(
            path=self.store.location,
            id=self.store.id,
            kind=self.store.kind,
            split=self.split.name,
            samples=len(self.dataset),
            batch_size=options.batch_size,
            threads=options.threads,
            repeats=options.repeats,
            seconds=time.perf_counter() - began,
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_bandwidth=memory_bandwidth(),
            measurements=tuple(measurements),
            notes=tuple(self.notes),
        )

    def _measure(
        self, configurations: list[_Configuration], state: str, seconds: float, done: Callable[[int], object]
    ) -> list[Measurement]:
        """Let all configurations of a state take turns."""
        began = time.perf_counter()
        # Settling takes as long as up to two passes and a half.
        each = seconds / max(1, len(configurations)) / (self.options.repeats + 2.5)
        ready = []
        for configuration in configurations:
            try:
                configuration.reader.settle(each)
                ready.append(configuration)
            except StoppedError as error:
                self._note(configuration.reader.name, str(error))
        readers = [configuration.reader for configuration in ready]
        results = take_turns(readers, self.options.repeats, stopped=self._note, until=began + seconds, done=done)
        for configuration in ready:
            if isinstance(configuration.reader, PillowReader) and configuration.reader.refused:
                refused = sorted(configuration.reader.refused)
                self._note(configuration.reader.name, f"{len(refused)} files left out, the first: {refused[0]}")
        fewest = min(map(len, results.values()), default=self.options.repeats)
        if fewest < self.options.repeats:
            self._note(
                state, f"the time sufficed for {fewest} of the {self.options.repeats} passes; give more seconds for all"
            )
        return [
            configuration.measurement(state, results[configuration.reader.name], self.options.batch_size)
            for configuration in ready
            if configuration.reader.name in results
        ]

    def _note(self, name: str, why: str) -> None:
        self.notes.append(f"{name}: {why}")

    def _configurations(self, state: str) -> list[_Configuration]:
        """Return what can be measured in a state; note what cannot."""
        found = []
        cold = state == "cold"
        if cold and not page_cache.can_drop():
            self._note("cold", "not measured: only Linux drops files from the page cache without root")
            return []
        if cold and self.tree is not None and isinstance(self.tree.reader.root, RemotePath):
            self._note(f"{PILLOW}, cold", f"not measured: {self.tree.root} is not on a local disk")
        if cold and self.local is None:
            self._note("cache, cold", f"not measured: {self.store.location} is not a local folder")
        for name, mask in self.masks.items():
            hot = self.store.hot is not None and set(mask.channels) <= set(self.store.hot.channels.channels)
            if cold and hot:
                self._note(f"{name}, cold", "not measured: these channels are read from the hot copy, which is mapped")
            if cold and (hot or self.local is None):
                continue
            found += self._of_mask(name, mask, state, hot=hot)
        pillow = self._of_source(state)
        return found if pillow is None else [*found, pillow]

    def _of_mask(self, name: str, mask: ChannelMask, state: str, *, hot: bool) -> list[_Configuration]:
        dataset = self.dataset.with_channels(mask)
        in_memory = dataset.n_bytes(np.arange(len(dataset))) / len(dataset)
        most = max(1, int(MEMORY / max(1.0, in_memory)))
        size = in_memory if hot else dataset.bytes_per_image
        configurations = []
        for order in ORDERS:
            if order not in self.options.orders:
                continue
            reader = CacheReader(
                f"{name}, {order}, {state}",
                units_of(dataset.row_groups, order, most, seed=self.options.seed, once=state == "cold"),
                self._shards if state == "cold" else None,
                dataset=dataset,
                order=order,
                batch_size=self.options.batch_size,
                seed=self.options.seed,
            )
            configurations.append(
                _Configuration(
                    reader=reader,
                    channels=name,
                    n_channels=len(mask),
                    order=order,
                    hot=hot,
                    bytes_per_image=size,
                )
            )
        return configurations

    def _of_source(self, state: str) -> _Configuration | None:
        """Return Pillow's configuration."""
        tree = self.tree
        if tree is None:
            return None
        units = units_of(self.dataset.row_groups, "groups", _MOST_FILES, seed=self.options.seed)
        found, source = self._source_files(tree, np.concatenate(units).tolist())
        files: Files | None = None
        root = source.root
        if state == "cold":
            if isinstance(root, RemotePath):
                return None
            places = {item: root / (file.container or file.path) for item, file in found.items()}
            files = lambda items: sorted({places[item] for item in items.tolist()})  # noqa: E731
        reader = PillowReader(
            f"{PILLOW}, {state}",
            units,
            files,
            found=found.__getitem__,
            source=source,
            threads=self.options.threads,
        )
        return _Configuration(reader=reader, channels="", n_channels=0, order="groups", hot=False, bytes_per_image=0)

    def _source_files(self, tree: SourceTree, items: list[int]) -> tuple[dict[int, SourceFile], SourceReader]:
        """Return the files of items, and what reads them: a copy, where the source is only quick in its own order."""
        if self._files is None:
            found = {item: self._source_file(tree, item) for item in items}
            reader: SourceReader = tree.reader
            if tree.sequential:
                spool = self._stack.enter_context(temporary_spool())
                reader, copies = copy_files(reader, found.values(), spool, quiet=self._quiet)
                found = {item: copies[file.path] for item, file in found.items()}
                self._note(PILLOW, "reads a copy of the images: the source itself is slow but in its own order")
            self._files = found, reader
        return self._files

    def _source_file(self, tree: SourceTree, item: int) -> SourceFile:
        """Return the file that an item is of."""
        path = self.split.source_path(int(self.dataset.slots[item]))
        file = tree.find(path)
        if file is None:
            msg = f"{tree.root}: has no {path}; expected the source that {self.store.location} is of"
            raise StoreError(msg)
        return file

    def _shards(self, items: Items) -> list[Path]:
        """Return the shard files that items lie in."""
        if self.local is None:
            return []
        groups = np.unique(self.dataset.row_groups[items])
        files = []
        for name, array in self.split.coefficient_arrays.items():
            shards = np.unique(groups // array.geometry.groups_per_shard).tolist()
            files += [self.local / self.split.name / name / array.geometry.shard_key(shard) for shard in shards]
        return files


@contextmanager
def _frozen_objects() -> Iterator[None]:
    """Leave what exists already to no garbage collection: there is one before each pass, and torch has many objects."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

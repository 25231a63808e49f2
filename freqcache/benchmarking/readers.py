"""The contenders: a cache read through the loader, and the source files decoded by Pillow.

A pass visits a fixed set of images once, in a random order that is the same in every pass, from the first to the last:
nothing is read in it that does not count. Every contender can be made longer or shorter by :meth:`Reader.settle`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.benchmarking import page_cache
from freqcache.benchmarking.page_cache import NotDroppedError
from freqcache.benchmarking.passes import Pass, StoppedError, timed
from freqcache.benchmarking.units import Items
from freqcache.dataset import FrequencyDataset
from freqcache.errors import SourceError
from freqcache.loading.loader import FrequencyLoader
from freqcache.pillow_files import DAMAGE, DEFAULT_MAX_PIXELS, open_image, pillow_warnings_hidden
from freqcache.sources import SourceFile, SourceReader
from freqcache.store.threads import run_all

MEMORY: Final = 256 << 20
"""Bytes that the images of a pass take in memory, at most: the loader may hold all of them."""

_AHEAD: Final = 0
"""Batches made ahead: none, so that no thread reads but those that were asked for."""

Files = Callable[[Items], Sequence[Path]]
"""Returns the files that reading some items reads from."""


class Reader(ABC):
    """A contender that reads the first few units of a list, each one or more items of a dataset.

    Parameters
    ----------
    name : str
        Unlike all others'.
    units : sequence of (n,) intp
        The items of each unit.
    files : callable, optional
        For cold passes: the files to drop before each.
    """

    def __init__(self, name: str, units: Sequence[Items], files: Files | None = None) -> None:
        self.name = name
        self._units, self._files = units, files
        self.count = 1

    @abstractmethod
    def read(self, items: Items) -> int:
        """Read items; return how many there were."""

    def run(self) -> Pass:
        """Run one pass."""
        items = np.concatenate(self._units[: self.count])
        if self._files is not None:
            try:
                page_cache.drop(self._files(items))
            except (NotDroppedError, OSError) as error:
                raise StoppedError(str(error)) from error
        found = timed(partial(self.read, items))
        if not found.images:
            msg = "none of its images could be read"
            raise StoppedError(msg)
        return found

    def settle(self, seconds: float) -> None:
        """Choose how many units make a pass of about `seconds`, by running longer and longer passes."""
        self.count = 1
        start = time.perf_counter()
        while True:
            taken = self.run().seconds
            wanted = min(len(self._units), max(1, round(self.count * seconds / taken)))
            far = wanted > 2 * self.count and time.perf_counter() - start < seconds
            self.count = min(wanted, 8 * self.count) if far else wanted
            if not far:
                return


class CacheReader(Reader):
    """A cache, through :class:`freqcache.FrequencyLoader`.

    Parameters
    ----------
    order : str
        ``"stored"``: from front to back; ``"groups"``: row groups in random order, shuffled together in windows;
        ``"samples"``: each sample by itself, in random order.
    """

    def __init__(
        self,
        name: str,
        units: Sequence[Items],
        files: Files | None,
        *,
        dataset: FrequencyDataset,
        order: str,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(name, units, files)
        self._dataset = dataset
        self._options: dict[str, Any] = {
            "shuffle": order != "stored",
            "access": "random" if order == "samples" else "groups",
            "seed": seed,
            "prefetch": _AHEAD,
        }
        self._batch_size = batch_size

    def read(self, items: Items) -> int:
        """Read items in batches."""
        loader = FrequencyLoader(self._dataset, self._batch_size, indices=np.sort(items), **self._options)
        return sum(len(labels) for _, labels in loader)


class PillowReader(Reader):
    """The source files, decoded to RGB by Pillow from their bytes in memory, each file by one thread.

    Parameters
    ----------
    found : callable
        Gives the file of an item.
    source : SourceReader
        Gives the files' bytes.
    threads : int
        Files read and decoded at a time.
    """

    def __init__(
        self,
        name: str,
        units: Sequence[Items],
        files: Files | None,
        *,
        found: Callable[[int], SourceFile],
        source: SourceReader,
        threads: int,
    ) -> None:
        super().__init__(name, units, files)
        self._found, self._source = found, source
        self._threads = threads
        self.refused: set[str] = set()
        self.bytes = self.images = 0

    def read(self, items: Items) -> int:
        """Decode the items' files; return how many could be decoded."""
        sizes = np.zeros(len(items), dtype=np.int64)
        work = [partial(self._decode, self._found(item), sizes, i) for i, item in enumerate(items.tolist())]
        run_all(work, self._threads)
        decoded = int(np.count_nonzero(sizes))
        self.bytes, self.images = self.bytes + int(sizes.sum()), self.images + decoded
        return decoded

    def _decode(self, file: SourceFile, sizes: npt.NDArray[np.int64], number: int) -> None:
        """Decode a file, and enter its bytes; those of a file that Pillow refuses stay 0."""
        try:
            data = self._source.read(file)
            with pillow_warnings_hidden, open_image(data, max_pixels=DEFAULT_MAX_PIXELS) as image:
                image.convert("RGB")
        except (SourceError, *DAMAGE):
            self.refused.add(file.path)
        else:
            sizes[number] = len(data)

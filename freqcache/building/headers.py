"""Reads the headers of all files of a source, and plans a sample for each that passes.

Files go to the workers in batches, and what comes back is brought into the order of the listing and put into tables at
once. Held are results that came before their turn, twelve bytes a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from freqcache.building.form import StoreForm
from freqcache.building.options import BuildOptions, LedgerEntry
from freqcache.building.plan import SplitPlan, plan_split, scan_files
from freqcache.building.slots import ordered, planned_files
from freqcache.engines import Engine
from freqcache.progress import Progress, progress
from freqcache.scratch import Chunk
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.sources.table import FileTable, encoded, encoded_paths, files_of

_SCAN_BATCH: Final = 64
"""Files in a task."""

_CHUNK_BATCHES: Final = 128
"""Batches that become rows of a table together."""

_Result = TypeVar("_Result")


class Scanned(NamedTuple):
    """What the headers of a batch of files say.

    Attributes
    ----------
    blocks : (n, 3) int32
        Of each component; 0 for one that is not there, and for a file that is refused.
    components : (n,) uint8
        How many there are; 0 for a file that is refused.
    refused : dict of int to str
        By place in the batch, why the file cannot become a sample.
    """

    blocks: npt.NDArray[np.int32]
    components: npt.NDArray[np.uint8]
    refused: dict[int, str]


def plan_splits(
    tree: SourceTree, options: BuildOptions, form: StoreForm, engine: Engine, *, scratch: Path | None, quiet: bool
) -> tuple[list[SplitPlan], list[LedgerEntry]]:
    """Read every header; return the plans of the splits, and the files refused already, in the order of the listing.

    Parameters
    ----------
    tree : SourceTree
        The source.
    options : BuildOptions
        What decides the store.
    form : StoreForm
        Of its arrays.
    engine : Engine
        Reads the headers.
    scratch : Path or None
        Folder for temporary files: see :class:`freqcache.scratch.Scratch`.
    quiet : bool
        Show no progress.

    Raises
    ------
    BuildError
        If a header is damaged and the options say that this ends the build, the source has vanished, or a temporary
        file cannot be written.
    """
    seed = options.seed if options.shuffle else None
    tables = {split: FileTable.of(files, scratch) for split, files in tree.splits.items()}
    plans: list[SplitPlan] = []
    refused: list[LedgerEntry] = []
    with progress(tree.n_files, "reading headers", quiet=quiet) as bar:
        results = _counted(engine.run(partial(_scan, tree.reader, options), _batches(tables.values())), bar)
        scanned = in_order(results)
        for split, files in tables.items():
            slots = ordered(_planned(split, files, scanned, refused), len(files), seed, scratch)
            if len(slots):
                plans.append(plan_split(split, slots, form))
    return plans, refused


def in_listing_order(failures: Iterable[LedgerEntry], tree: SourceTree) -> list[LedgerEntry]:
    """Return the files that failed in the order in which the source lists them."""
    failures = list(failures)
    failed = {encoded(entry.path) for entry in failures}
    paths = (path for files in tree.splits.values() for path in encoded_paths(files))
    order = {path: number for number, path in enumerate(paths) if path in failed} if failed else {}
    return sorted(failures, key=lambda entry: order[encoded(entry.path)])


def in_order(numbered: Iterable[tuple[int, _Result]]) -> Iterator[_Result]:
    """Yield results by their numbers, which are 0, 1, 2...; those that come too early are held."""
    early: dict[int, _Result] = {}
    expected = 0
    for number, result in numbered:
        early[number] = result
        while expected in early:
            yield early.pop(expected)
            expected += 1


def _batches(tables: Iterable[FileTable]) -> Iterator[tuple[int, Sequence[SourceFile]]]:
    """Yield the files of all splits in batches, each with its number."""
    number = 0
    for files in tables:
        for first in range(0, len(files), _SCAN_BATCH):
            yield number, files[first : first + _SCAN_BATCH]
            number += 1


def _scan(reader: SourceReader, options: BuildOptions, batch: tuple[int, Sequence[SourceFile]]) -> tuple[int, Scanned]:
    number, files = batch
    blocks = np.zeros((len(files), 3), dtype=np.int32)
    components = np.zeros(len(files), dtype=np.uint8)
    refused = {}
    for place, scan in enumerate(scan_files(reader, files, options.per_sample)):
        if isinstance(scan, str):
            refused[place] = scan
        else:
            blocks[place, : len(scan)] = scan
            components[place] = len(scan)
    return number, Scanned(blocks, components, refused)


def _counted(results: Iterable[tuple[int, Scanned]], bar: Progress) -> Iterator[tuple[int, Scanned]]:
    for number, result in results:
        bar.update(len(result.components))
        yield number, result


def _planned(split: str, files: FileTable, scanned: Iterator[Scanned], refused: list[LedgerEntry]) -> Iterator[Chunk]:
    """Yield the slots of a split's files in the order of the listing, and add the others to `refused`."""
    for first in range(0, len(files), _SCAN_BATCH * _CHUNK_BATCHES):
        last = min(first + _SCAN_BATCH * _CHUNK_BATCHES, len(files))
        batches = [next(scanned) for _ in range(first, last, _SCAN_BATCH)]
        chunk = files.read(first, last)
        usable = np.ones(last - first, dtype=bool)
        for number, batch in enumerate(batches):
            for place, reason in sorted(batch.refused.items()):
                here = number * _SCAN_BATCH + place
                usable[here] = False
                (file,) = files_of(chunk.taken(np.array([here])))
                refused.append(LedgerEntry(path=file.path, split=split, reason=reason))
        blocks = np.concatenate([batch.blocks for batch in batches])
        components = np.concatenate([batch.components for batch in batches])
        yield planned_files(chunk, blocks, components, np.flatnonzero(usable))

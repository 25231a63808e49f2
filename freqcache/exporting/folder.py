"""Writes a cache, or a part of it, as a folder of JPEG files in class folders.

Row group by row group, so that each chunk is decoded once, by worker processes or in this one: see
:mod:`freqcache.exporting.writing`. What has its own name is whole. (Nothing is synced to the disk: a power failure can
leave an empty file, which the next run finds.) Encoding is deterministic, so a file that is there already is known by
its bytes: a second run writes only what is missing. A file with other bytes is never replaced unless asked to, and an
original of the cache never at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError
from freqcache.exporting.images import wanted_channels
from freqcache.exporting.names import FileNames
from freqcache.exporting.report import ExportIncompleteError, ExportReport, OriginSizes
from freqcache.exporting.selection import select_slots
from freqcache.exporting.writing import WORK_FOLDER, GroupTask, Outcome, WriteOptions, write_group_files
from freqcache.interruption import GOES_ON, going_on
from freqcache.locking import lock_file
from freqcache.progress import progress
from freqcache.remote import is_url
from freqcache.store import Store, open_store
from freqcache.store.finding import Named
from freqcache.workers import Pool, WorkerDiedError
from freqcache_formats.layout import Origin
from freqcache_formats.mask import ChannelMask


def export_jpegs(
    store: str | Path,
    folder: str | Path,
    *,
    channels: ChannelMask | str = "all",
    split: str | None = None,
    classes: Sequence[str] | None = None,
    samples: Sequence[Named] | None = None,
    limit: int | None = None,
    workers: int | None = None,
    verify: bool = True,
    overwrite: bool = False,
    quiet: bool = False,
) -> ExportReport:
    """Write samples of a cache as JPEG files in class folders.

    Parameters
    ----------
    store : path or URL
        The cache.
    folder : path
        Where the files go; made where it is not there.
    channels : ChannelMask, preset name or path of a mask.json
        Channels to take; the others are zero.
    split, classes, samples, limit
        Which samples: see :func:`freqcache.exporting.selection.select_slots`.
    workers : int, optional
        Processes; all cores by default. 1 works in this process. The bytes do not depend on it.
    verify : bool
        Read each written file back and compare it with the cache.
    overwrite : bool
        Replace files that are there with other content; never the very files that the cache was built from.
    quiet : bool
        Show no progress.

    Returns
    -------
    ExportReport

    Raises
    ------
    ExportIncompleteError
        At the end, if some files could not be written: other files stand there, or a JPEG file cannot hold the sample.
    ExportError
        If the export cannot start or go on; the same call goes on from there.
    StoreError, MaskError
        If the cache or the mask cannot be read.
    """
    began = time.perf_counter()
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        msg = f"workers: expected at least 1, found {workers}"
        raise ExportError(msg)
    opened = open_store(store)
    mask = wanted_channels(opened, channels)
    chosen = select_slots(opened, split=split, classes=classes, samples=samples, limit=limit)
    folder = _place(folder, opened)
    options = WriteOptions(
        store=str(store), id=opened.id, mask=mask, folder=folder.resolve(), verify=verify, overwrite=overwrite
    )
    tally = _Tally(opened, chosen)
    try:
        total = sum(map(len, chosen.values()))
        with (
            going_on(GOES_ON),
            _working_in(folder),
            Pool(workers) as pool,
            progress(total, "exporting", quiet=quiet) as bar,
        ):
            for name, found in pool.run(write_group_files, _tasks(opened, chosen, options)):
                tally.add(name, found)
                bar.update(len(found))
    except WorkerDiedError as error:
        msg = f"{folder}: a worker process died (killed, or out of memory); {GOES_ON}"
        raise ExportError(msg) from error
    except OSError as error:
        msg = f"{error.filename or folder}: {error.strerror or error}; {GOES_ON}"
        raise ExportError(msg) from error
    report = tally.report(folder, len(mask), time.perf_counter() - began)
    if report.refused:
        path, reason = report.refused[0]
        also = f"; so are {len(report.refused) - 1} more" if len(report.refused) > 1 else ""
        msg = f"{path}: not written: {reason}{also}"
        raise ExportIncompleteError(msg, report)
    return report


def _place(folder: str | Path, store: Store) -> Path:
    if not str(folder):
        msg = "the folder to export to is an empty name"
        raise ExportError(msg)
    if is_url(folder):
        msg = f"{folder}: images are exported to a folder of this machine, not to a URL"
        raise ExportError(msg)
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            msg = f"{folder}: exists and is not a folder"
            raise ExportError(msg)
        if not is_url(store.location) and folder.resolve().is_relative_to(Path(store.location).resolve()):
            msg = f"{folder}: lies inside the cache {store.location}"
            raise ExportError(msg)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with a zero byte
        msg = f"{folder}: cannot be used: {error}"
        raise ExportError(msg) from error
    return folder


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Hold the export's folder, and a folder in it for files that are being written, for this process alone."""
    work = folder / WORK_FOLDER
    try:
        lock = lock_file(work / "lock")
    except BlockingIOError:
        msg = f"{folder}: another export is writing here"
        raise ExportError(msg) from None
    except OSError as error:
        msg = f"{folder}: cannot be made, or not be written to: {error.strerror or error}"
        raise ExportError(msg) from error
    try:
        _clear(work)  # of a run that was killed
        yield
    finally:
        try:
            _clear(work)
            (work / "lock").unlink()  # before the lock goes with it
            with suppress(OSError):  # the next export has just made its own lock in it
                work.rmdir()
        finally:
            os.close(lock)


def _clear(work: Path) -> None:
    for partial in work.glob("*.partial"):
        partial.unlink()


def _tasks(store: Store, chosen: dict[str, npt.NDArray[np.intp]], options: WriteOptions) -> Iterator[GroupTask]:
    """Yield the tasks of an export: only then their samples have names in memory."""
    for name, slots in chosen.items():
        split = store[name]
        names = FileNames(split)
        groups = split.row_groups[slots]
        for part in np.split(slots, np.flatnonzero(np.diff(groups)) + 1):
            of_part = tuple(map(names.of, part.tolist()))
            yield GroupTask(options=options, split=name, slots=part, names=of_part)


class _Tally:
    """Counts what became of samples as it is told; only refused ones are remembered one by one."""

    def __init__(self, store: Store, splits: Iterable[str]) -> None:
        self._store = store
        self._splits = dict.fromkeys(splits, 0)
        self._values = {n: (store[n].values("origin"), store[n].values("source_bytes")) for n in self._splits}
        self._sizes = {origin: [0, 0, 0] for origin in Origin}
        self._n_written = self._n_rounded = 0
        self._refused: list[tuple[int, int, str, str]] = []

    def add(self, split: str, outcomes: Iterable[Outcome]) -> None:
        """Count some samples of a split."""
        origins, source_bytes = self._values[split]
        for outcome in outcomes:
            if outcome.reason:
                place = list(self._splits).index(split)
                self._refused.append((place, outcome.slot, outcome.name, outcome.reason))
                continue
            self._splits[split] += 1
            self._n_written += outcome.written
            self._n_rounded += not outcome.exact
            sizes = self._sizes[Origin(int(origins[outcome.slot]))]
            for index, value in enumerate((1, outcome.size, int(source_bytes[outcome.slot]))):
                sizes[index] += value

    def report(self, folder: Path, channels: int, seconds: float) -> ExportReport:
        """Return what was counted; refused samples in their order, whenever they came."""
        return ExportReport(
            folder=folder,
            kind=self._store.kind,
            splits=self._splits,
            n_written=self._n_written,
            n_kept=sum(self._splits.values()) - self._n_written,
            origins={
                origin.name.lower(): OriginSizes(files=files, bytes=size, source_bytes=source)
                for origin, (files, size, source) in self._sizes.items()
                if files
            },
            channels=channels,
            stored_channels=len(self._store.channels),
            n_rounded=self._n_rounded,
            refused=tuple((f"{folder}/{name}", reason) for _, _, name, reason in sorted(self._refused)),
            seconds=seconds,
        )

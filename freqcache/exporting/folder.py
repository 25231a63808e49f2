"""Writes a cache, or a part of it, as a folder of JPEG files in class folders.

Row group by row group, so that each chunk is decoded once, by worker processes or in this one: see
:mod:`freqcache.exporting.writing`. What has its own name is whole. (Nothing is synced to the disk: a power failure can
leave an empty file, which the next run finds.) Encoding is deterministic, so a file that is there already is known by
its bytes: a second run writes only what is missing. A file with other bytes is never replaced unless asked to, and an
original of the cache never at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError
from freqcache.exporting.images import wanted_channels
from freqcache.exporting.names import file_names
from freqcache.exporting.report import ExportIncompleteError, ExportReport, OriginSizes
from freqcache.exporting.selection import select_slots
from freqcache.exporting.writing import WORK_FOLDER, GroupTask, Outcome, WriteOptions, write_group_files
from freqcache.interruption import GOES_ON, going_on
from freqcache.progress import progress
from freqcache.store import Store, open_store
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
    samples: Sequence[int | str] | None = None,
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
    tasks = list(_tasks(opened, chosen, options))
    outcomes: dict[tuple[str, int], Outcome] = {}
    try:
        total = sum(map(len, chosen.values()))
        with (
            going_on(GOES_ON),
            _working_in(folder),
            Pool(workers) as pool,
            progress(total, "exporting", quiet=quiet) as bar,
        ):
            for name, found in pool.run(write_group_files, tasks):
                outcomes.update(((name, outcome.slot), outcome) for outcome in found)
                bar.update(len(found))
    except WorkerDiedError as error:
        msg = f"{folder}: a worker process died (killed, or out of memory); {GOES_ON}"
        raise ExportError(msg) from error
    except OSError as error:
        msg = f"{error.filename or folder}: {error.strerror or error}; {GOES_ON}"
        raise ExportError(msg) from error
    report = _report(opened, folder, chosen, outcomes, mask, began)
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
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            msg = f"{folder}: exists and is not a folder"
            raise ExportError(msg)
        if "://" not in store.location and folder.resolve().is_relative_to(Path(store.location).resolve()):
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
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{folder}: another export is writing here"
            raise ExportError(msg) from None
        try:
            for leftover in work.glob("*.partial"):  # of a run that was killed
                leftover.unlink()
            yield
        finally:
            shutil.rmtree(work)
    finally:
        os.close(lock)


def _tasks(store: Store, chosen: dict[str, npt.NDArray[np.intp]], options: WriteOptions) -> Iterator[GroupTask]:
    for name, slots in chosen.items():
        split = store[name]
        names = file_names(split)
        groups = split.row_groups[slots]
        for part in np.split(slots, np.flatnonzero(np.diff(groups)) + 1):
            yield GroupTask(options=options, split=name, slots=part, names=tuple(names[slot] for slot in part.tolist()))


def _report(
    store: Store,
    folder: Path,
    chosen: dict[str, npt.NDArray[np.intp]],
    outcomes: dict[tuple[str, int], Outcome],
    mask: ChannelMask,
    began: float,
) -> ExportReport:
    sizes = {origin: [0, 0, 0] for origin in Origin}
    splits = {}
    good: list[Outcome] = []
    refused: list[tuple[str, str]] = []
    for name, slots in chosen.items():
        split = store[name]
        origins, source_bytes = split.values("origin"), split.values("source_bytes")
        mine = [outcomes[name, slot] for slot in slots.tolist()]
        refused += [(f"{folder}/{outcome.name}", outcome.reason) for outcome in mine if outcome.reason]
        done = [outcome for outcome in mine if not outcome.reason]
        splits[name] = len(done)
        good += done
        for outcome in done:
            entry = sizes[Origin(int(origins[outcome.slot]))]
            _add(entry, (1, outcome.size, int(source_bytes[outcome.slot])))
    return ExportReport(
        folder=folder,
        kind=store.kind,
        splits=splits,
        n_written=sum(outcome.written for outcome in good),
        n_kept=sum(not outcome.written for outcome in good),
        origins={
            origin.name.lower(): OriginSizes(files=files, bytes=size, source_bytes=source)
            for origin, (files, size, source) in sizes.items()
            if files
        },
        channels=len(mask),
        stored_channels=len(store.channels),
        n_rounded=sum(not outcome.exact for outcome in good),
        refused=tuple(refused),
        seconds=time.perf_counter() - began,
    )


def _add(total: list[int], values: Iterable[int]) -> None:
    for index, value in enumerate(values):
        total[index] += value

"""Makes the report of a store, from its metadata, its per-sample arrays and its shards' indexes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqcache.building.ledger import ledger_owner
from freqcache.errors import FormatError, StoreError
from freqcache.inspection.ledger import LedgerReport, read_ledger
from freqcache.inspection.report import HotCopyReport, SplitReport, StoreReport
from freqcache.inspection.samples import SampleValues
from freqcache.inspection.storage import StorageReport, describe_storage
from freqcache.remote import is_url
from freqcache.store import FixedSplit, NativeSplit, Store, open_store
from freqcache.store.attributes import read_attributes
from freqcache.store.hot import open_hot
from freqcache.store.places import LocalPlace
from freqcache_formats.layout import HOT
from freqcache_formats.mask import ChannelMask

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


def inspect_store(path: str | Path | ZarrStore) -> StoreReport:
    """Return what a store holds, how it came about, and what takes its bytes.

    No coefficient is read, so damage of chunks is not noticed.

    Parameters
    ----------
    path : path, URL or zarr.abc.store.Store
        As :func:`freqcache.open` takes it.

    Raises
    ------
    StoreError, FormatError
        If there is no complete store, or what is looked at is missing, malformed or damaged. An unusable hot copy
        does not raise: the report says so.
    """
    store = open_store(path, hot=False)
    local = store.place.path if isinstance(store.place, LocalPlace) else None
    held = store.channels
    turned = store.metadata.options.get("keep_orientation") is not True
    reports, values = [], []
    for name in store.splits:
        split = store[name]
        samples = SampleValues.of(split, turned=turned)
        values.append(samples)
        reports.append(_split_report(split, samples, held, None if local is None else local / name))
    return StoreReport(
        path=store.location,
        id=store.id,
        kind=store.kind,
        format_version=_version(store),
        creator=store.metadata.creator,
        options=store.metadata.options,
        channels=held.channels,
        classes=store.classes,
        splits=tuple(reports),
        samples=SampleValues.join(values).report(n_classes=len(store.classes), has_tables=store.kind == "native"),
        storage=StorageReport.join([report.storage for report in reports]),
        bytes=_size(path, local),
        hot=None if local is None else _hot_report(local, store.id),
        ledger=_ledger(path),
    )


def _split_report(
    split: FixedSplit | NativeSplit, samples: SampleValues, held: ChannelMask, folder: Path | None
) -> SplitReport:
    arrays, storage = describe_storage(split, held)
    _ = split.row_groups  # checks them
    lengths = np.diff(split.values("row_group_start"))
    return SplitReport(
        name=split.name,
        slots=split.metadata.slots,
        absent=split.metadata.slots - len(split),
        row_groups=len(lengths),
        row_group_slots=(int(lengths.min()), int(np.median(lengths)), int(lengths.max()))
        if len(lengths)
        else (0, 0, 0),
        grid=split.grid if isinstance(split, FixedSplit) else None,
        arrays=arrays,
        storage=storage,
        samples=samples.report(n_classes=len(split.classes), has_tables=isinstance(split, NativeSplit)),
        bytes=None if folder is None else folder_bytes(folder),
    )


def folder_bytes(folder: Path, *, leave_out: str | None = None) -> int:
    """Return the bytes of all files below a folder, but for those in its subfolder `leave_out`."""
    total = 0
    for base, folders, names in os.walk(folder):
        if Path(base) == folder and leave_out in folders:
            folders.remove(leave_out)
        total += sum(os.stat(f"{base}/{name}").st_size for name in names)  # noqa: PTH116  (a large store has many)
    return total


def _version(store: Store) -> str:
    attributes = read_attributes(store.place)
    return str(attributes["version"]) if isinstance(attributes, dict) else ""


def _size(path: str | Path | ZarrStore, local: Path | None) -> int | None:
    if local is not None:
        return folder_bytes(local, leave_out=HOT)
    if isinstance(path, str | Path) and not is_url(path):
        return Path(path).stat().st_size
    return None


def _hot_report(local: Path, store_id: str) -> HotCopyReport | None:
    folder = local / HOT
    if not folder.is_dir():
        return None
    try:
        metadata = open_hot(local, store_id)
        problem = None if metadata is not None else f"{folder}: was not finished; the command that makes it goes on"
    except (StoreError, FormatError) as error:
        metadata, problem = None, str(error)
    channels = () if metadata is None else metadata.channels.channels
    return HotCopyReport(channels=channels, bytes=folder_bytes(folder), problem=problem)


def _ledger(path: str | Path | ZarrStore) -> LedgerReport | None:
    owner = ledger_owner(path) if isinstance(path, str | Path) else None
    return None if owner is None else read_ledger(owner)

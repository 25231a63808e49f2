"""What :func:`freqcache.inspection.inspect_store` returns, and its JSON.

The JSON is a stable interface: keys are only added. It has the attributes' names, lengths in bytes and pixels, and null
where something is not recorded or cannot be known. ``docs/inspecting.md`` shows it whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from freqcache.inspection.ledger import LedgerReport
from freqcache.inspection.samples import SampleReport
from freqcache.inspection.storage import ArrayReport, StorageReport
from freqcache_formats.channels import Channel

REPORT_VERSION: Final = 1
"""Of the JSON's shape; another number means that a key has changed its meaning or is gone."""


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """A split.

    Attributes
    ----------
    name : str
        Its name.
    slots, absent : int
        Places for samples, and those of them that are empty because the file failed.
    row_groups : int
        Row groups.
    row_group_slots : tuple of int
        Slots of the smallest, the median and the largest row group.
    grid : (int, int) or None
        Block rows and columns of every sample; None for a native store.
    arrays : dict of str to ArrayReport
        The coefficient arrays.
    storage : StorageReport
        What takes their bytes.
    samples : SampleReport
        What its samples are.
    bytes : int or None
        Of all files of the split; None where files cannot be listed.
    """

    name: str
    slots: int
    absent: int
    row_groups: int
    row_group_slots: tuple[int, int, int]
    grid: tuple[int, int] | None
    arrays: Mapping[str, ArrayReport]
    storage: StorageReport
    samples: SampleReport
    bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "name": self.name,
            "slots": self.slots,
            "absent": self.absent,
            "row_groups": self.row_groups,
            "row_group_slots": dict(zip(("minimum", "median", "maximum"), self.row_group_slots, strict=True)),
            "grid": None if self.grid is None else list(self.grid),
            "arrays": {name: array.to_dict() for name, array in self.arrays.items()},
            "storage": self.storage.to_dict(),
            "samples": self.samples.to_dict(),
            "bytes": self.bytes,
        }


@dataclass(frozen=True, kw_only=True)
class HotCopyReport:
    """The hot copy of a store.

    Attributes
    ----------
    channels : tuple of Channel
        What it holds.
    bytes : int
        Of its files.
    problem : str or None
        Why it cannot be used; `channels` is empty then.
    """

    channels: tuple[Channel, ...]
    bytes: int
    problem: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {"channels": [list(c) for c in self.channels], "bytes": self.bytes, "problem": self.problem}


@dataclass(frozen=True, kw_only=True)
class StoreReport:
    """A store.

    Attributes
    ----------
    path : str
        Absolute path or URL.
    id, kind, format_version, creator : str
        As the store records them.
    options : dict
        The options of the build, as the store records them.
    channels : tuple of Channel
        The channels held, in storage order.
    classes : tuple of str
        Names by label.
    splits : tuple of SplitReport
        The splits.
    samples : SampleReport
        What the samples of all splits are.
    storage : StorageReport
        What takes the bytes of all coefficients.
    bytes : int or None
        Of all files but the hot copy's, or of a zip file; None for what is read through a URL.
    hot : HotCopyReport or None
        The hot copy; None where there is none.
    ledger : LedgerReport or None
        The ledger beside a local store; None where there is none.
    """

    path: str
    id: str
    kind: str
    format_version: str
    creator: str
    options: Mapping[str, Any]
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    samples: SampleReport
    storage: StorageReport
    bytes: int | None
    hot: HotCopyReport | None
    ledger: LedgerReport | None

    @property
    def absent(self) -> int:
        """Absent slots in all splits."""
        return sum(split.absent for split in self.splits)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "report_version": REPORT_VERSION,
            "path": self.path,
            "id": self.id,
            "kind": self.kind,
            "format_version": self.format_version,
            "creator": self.creator,
            "options": dict(self.options),
            "channels": [list(channel) for channel in self.channels],
            "classes": list(self.classes),
            "splits": [split.to_dict() for split in self.splits],
            "samples": self.samples.to_dict(),
            "storage": self.storage.to_dict(),
            "bytes": self.bytes,
            "hot": None if self.hot is None else self.hot.to_dict(),
            "ledger": None if self.ledger is None else self.ledger.to_dict(),
        }

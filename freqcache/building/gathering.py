"""Gathers what the records of a split's shards say: they are read once, one after the other.

The per-sample values, some 520 bytes of each native sample, go to columns that need not stay in memory; the rest is
added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.building.form import StoreForm
from freqcache.building.options import LedgerEntry
from freqcache.building.records import SHARD_FILES, ShardRecord
from freqcache.scratch import Column
from freqcache.statistics import Accumulator
from freqcache_formats.layout import Origin, per_slot_arrays


@dataclass(kw_only=True, eq=False)
class Gathered:
    """What all shards of a split say.

    Attributes
    ----------
    samples : dict of str to Column
        Every per-sample array.
    statistics : Accumulator
        Over all samples.
    files : dict of str to array
        What the split's arrays ``shard_digest`` and ``shard_bytes`` hold.
    failures : list of LedgerEntry
        Files that failed, or were kept damaged.
    origins : (256,) int64
        How many slots there are of each :class:`~freqcache_formats.layout.Origin`.
    bytes_in : int
        Of the samples' source files.
    saturated : int
        Values that an int8 cache had to clip.
    scratch : Path or None
        Folder for temporary files.
    """

    samples: dict[str, Column]
    statistics: Accumulator
    files: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    failures: list[LedgerEntry] = field(default_factory=list)
    origins: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, dtype=np.int64))
    bytes_in: int = 0
    saturated: int = 0
    scratch: Path | None = None

    @property
    def n_samples(self) -> int:
        """Slots that are not absent."""
        return int(self.origins.sum() - self.origins[Origin.ABSENT])

    @property
    def shard_bytes(self) -> int:
        """Of all shard files."""
        return int(self.files["shard_bytes"].sum())


def gather(records: Iterable[ShardRecord], form: StoreForm, scratch: Path | None = None) -> Gathered:
    """Gather the records of a split.

    Parameters
    ----------
    records : iterable of ShardRecord
        In the order of the shards, at least one.
    form : StoreForm
        Of the store.
    scratch : Path, optional
        Folder for temporary files: see :class:`freqcache.scratch.Scratch`.

    Raises
    ------
    BuildError
        If a temporary file cannot be written.
    """
    gathered = Gathered(
        samples={
            name: Column(np.dtype(layout.dtype), layout.shape, scratch)
            for name, layout in per_slot_arrays(form.kind).items()
        },
        statistics=Accumulator(len(form.channels)),
        scratch=scratch,
    )
    files: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in SHARD_FILES}
    for record in records:
        for name, column in gathered.samples.items():
            column.append(record.samples[name])
        for name, found in files.items():
            found.append(record.files[name])
        gathered.statistics.merge(Accumulator(sums=record.statistics))
        gathered.failures += record.failures
        gathered.saturated += record.saturated
        origin = record.samples["origin"]
        gathered.origins += np.bincount(origin, minlength=256)
        gathered.bytes_in += int(record.samples["source_bytes"][origin != Origin.ABSENT].sum())
    gathered.files = {name: np.stack(found, axis=1) for name, found in files.items()}
    return gathered

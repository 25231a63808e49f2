"""What a rewrite did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freqcache_formats.mask import ChannelMask


@dataclass(frozen=True, kw_only=True)
class RewriteReport:
    """What a rewrite did.

    Attributes
    ----------
    path : Path or str
        The new store, a string where it is a URL.
    id : str
        Its id; that of its source where nothing but the compression could have changed, and did not.
    splits : dict of str to int
        Samples in each split.
    classes : tuple of str
        Class names by label.
    channels : ChannelMask
        The channels that it holds.
    n_compared : int
        Samples that were read again from the new store, and found equal to their source: all of them.
    n_absent : int
        Slots of the sources that hold no sample, and were dropped.
    bytes_in, bytes_out : int
        Of the coefficients' shard files, in the splits that were read and in the new store.
    seconds : float
        Wall time of this run.
    n_resumed : int
        Shards that an earlier run had finished.
    n_written : int
        Samples written in this run.
    notes : tuple of str
        What a user should know, a sentence each.
    """

    path: Path | str
    id: str
    splits: dict[str, int]
    classes: tuple[str, ...]
    channels: ChannelMask
    n_compared: int
    n_absent: int
    bytes_in: int
    bytes_out: int
    seconds: float
    n_resumed: int
    n_written: int
    notes: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Samples in all splits."""
        return sum(self.splits.values())

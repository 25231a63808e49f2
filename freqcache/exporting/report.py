"""What an export did: how many files of which origin, what they weigh, and which could not be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freqcache.errors import ExportError


@dataclass(frozen=True, kw_only=True)
class OriginSizes:
    """Files of one origin.

    Attributes
    ----------
    files : int
        How many.
    bytes, source_bytes : int
        Of them, and of the files that the cache was built from.
    """

    files: int
    bytes: int
    source_bytes: int


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export did.

    Attributes
    ----------
    folder : Path
        Where the files are.
    kind : str
        Of the cache: ``"native"`` or ``"fixed"``.
    splits : dict of str to int
        Files of each split.
    n_written, n_kept : int
        Files written by this run, and files that were there already.
    origins : dict of str to OriginSizes
        By the samples' origin, those there are any of.
    channels : int
        Channels that the files hold; the other coefficients are zero.
    stored_channels : int
        Channels that the cache holds.
    n_rounded : int
        Files of a fixed cache whose dequantized values are not exactly the cache's.
    refused : tuple of (str, str)
        Files that were not written, with the reason, in order.
    seconds : float
        Wall time.
    """

    folder: Path
    kind: str
    splits: dict[str, int]
    n_written: int
    n_kept: int
    origins: dict[str, OriginSizes]
    channels: int
    stored_channels: int
    n_rounded: int
    refused: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def n_files(self) -> int:
        """Files that are there now."""
        return self.n_written + self.n_kept

    @property
    def bytes(self) -> int:
        """Of these files."""
        return sum(sizes.bytes for sizes in self.origins.values())

    @property
    def source_bytes(self) -> int:
        """Of the files that the cache was built from."""
        return sum(sizes.source_bytes for sizes in self.origins.values())


class ExportIncompleteError(ExportError):
    """Some files could not be written; the others are there.

    Attributes
    ----------
    report : ExportReport
        What was done; its `refused` lists the files.
    """

    def __init__(self, message: str, report: ExportReport) -> None:
        super().__init__(message)
        self.report = report

"""The options of a build and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from freqcache.errors import BuildError
from freqcache.extraction import ON_CORRUPT, ExtractionOptions
from freqcache.jpeg import Limits

MAX_SIZE: Final = 4096
"""Largest side of a fixed cache: a row group of 16 such samples takes 0.8 GB."""

MADE_FROM: Final = "made_from"
"""What a rewritten store records besides: the stores that it was made from, by their ids, and how."""


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What decides the bytes of a store; workers and progress do not, and are not here.

    Attributes
    ----------
    size : int or None
        None for a native cache; for a fixed one, the side of the centre crop in pixels, a multiple of 8.
    exact : bool
        Fixed caches only: int16 with steps of 1 instead of int8.
    level : int
        Compression level of the chunk codec.
    shuffle : bool
        Shuffle the samples once, so that a row group is a random set.
    seed : int
        Of the shuffle.
    extraction : ExtractionOptions
        What decides a single sample.
    """

    size: int | None = None
    exact: bool = False
    level: int = 1
    shuffle: bool = True
    seed: int = 0
    extraction: ExtractionOptions = field(default_factory=ExtractionOptions)

    def __post_init__(self) -> None:
        problems = []
        if self.size is not None and (type(self.size) is not int or not 8 <= self.size <= MAX_SIZE or self.size % 8):
            problems.append(f"size: expected a multiple of 8 pixels, 8..{MAX_SIZE}, found {self.size!r}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**64:
            problems.append(f"seed: expected 0..2**64 - 1, found {self.seed!r}")
        if self.exact and self.size is None:
            problems.append("exact: only a fixed cache (with a size) is ever inexact; a native one is exact already")
        if not 1 <= self.level <= 9:
            problems.append(f"level: expected 1..9, found {self.level}")
        if self.extraction.on_corrupt not in ON_CORRUPT:
            problems.append(f"on_corrupt: expected one of {', '.join(ON_CORRUPT)}")
        if self.extraction.max_size is not None and self.extraction.max_size < 8:
            problems.append(f"max_size: expected at least 8 pixels, found {self.extraction.max_size}")
        if not 1 <= self.extraction.computed_quality <= 100:
            problems.append(f"computed_quality: expected 1..100, found {self.extraction.computed_quality}")
        if problems:
            raise BuildError("; ".join(problems))

    @property
    def kind(self) -> str:
        """``"native"`` or ``"fixed"``."""
        return "native" if self.size is None else "fixed"

    @property
    def per_sample(self) -> ExtractionOptions:
        """The extraction's options; a fixed cache crops from the full size, so there nothing is reduced first."""
        if self.size is None:
            return self.extraction
        return replace(self.extraction, max_size=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON that a store records."""
        extraction = self.per_sample
        return {
            "size": self.size,
            "exact": self.exact,
            "level": self.level,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "max_size": extraction.max_size,
            "keep_orientation": extraction.keep_orientation,
            "computed_quality": extraction.computed_quality,
            "on_corrupt": extraction.on_corrupt,
            "limits": asdict(extraction.limits),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> BuildOptions:
        """Return the options that a store records.

        Raises
        ------
        BuildError
            If they are none, or of a version with others.
        """
        of_build = {name: document[name] for name in ("size", "exact", "level", "shuffle", "seed") if name in document}
        names = ("max_size", "keep_orientation", "computed_quality", "on_corrupt")
        of_sample = {name: document[name] for name in names if name in document}
        try:
            limits = Limits(**document.get("limits", {}))
            return cls(**of_build, extraction=ExtractionOptions(**of_sample, limits=limits))
        except TypeError as error:
            msg = f"not the options of a build: {error}"
            raise BuildError(msg) from error


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """A file that did not become a good sample.

    Attributes
    ----------
    path : str
        Relative to the source folder.
    split : str
        Where it would have gone.
    reason : str
        For a person.
    kept : bool
        Whether the sample is in the store all the same (damaged files, when asked to keep them).
    """

    path: str
    split: str
    reason: str
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the line of the ledger."""
        return {"path": self.path, "split": self.split, "reason": self.reason, "kept": self.kept}


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build did.

    Attributes
    ----------
    path : Path or str
        The store; a string where it is a URL.
    splits : dict of str to int
        Samples in each split.
    n_classes : int
        Number of classes.
    origins : dict of str to int
        Samples that were extracted, reduced and computed.
    failures : tuple of LedgerEntry
        Every file that failed or was kept in spite of damage, in the order of the listing.
    ledger : Path, str or None
        The file that lists them; None when there are none.
    ignored : int
        Files passed over: not named as images, or not in a class folder.
    empty_folders : tuple of str
        Folders in the place of classes that hold no image.
    saturated : int
        Coefficients that did not fit the steps of a fixed cache and were clipped.
    bytes_in, bytes_out : int
        Of the samples' source files, and of the store.
    seconds : float
        Wall time of this run.
    stages : dict of str to float
        The same in parts: ``listing`` (where the build did it), ``headers``, ``shards`` and ``finish``.
    n_resumed : int
        Shards that an earlier run had finished.
    n_read : int
        Files read in this run.
    """

    path: Path | str
    splits: dict[str, int]
    n_classes: int
    origins: dict[str, int]
    failures: tuple[LedgerEntry, ...]
    ledger: Path | str | None
    ignored: int
    empty_folders: tuple[str, ...]
    saturated: int
    bytes_in: int
    bytes_out: int
    seconds: float
    stages: dict[str, float]
    n_resumed: int
    n_read: int

    @property
    def n_samples(self) -> int:
        """Samples in all splits."""
        return sum(self.splits.values())

    @property
    def n_failed(self) -> int:
        """Files that are not in the store."""
        return sum(not entry.kept for entry in self.failures)

"""What a verification finds, and how much it looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SampleName:
    """A slot of a store, as people know it.

    Attributes
    ----------
    split : str
        Name of the split.
    slot : int
        Place in the per-sample arrays.
    path : str
        Of the source file; empty where that cannot be read.
    class_name : str
        Empty where that cannot be told.
    """

    split: str
    slot: int
    path: str
    class_name: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        A word for machines: one of formats/v1/conformance/README.md, or of docs/verify.md.
    file : str
        File or folder of the store, relative to it; or a file of the source.
    reason : str
        For a person.
    split, array : str
        Where it is known.
    samples : tuple of SampleName
        Those that cannot be trusted for it.
    """

    kind: str
    file: str
    reason: str
    split: str = ""
    array: str = ""
    samples: tuple[SampleName, ...] = ()


@dataclass(kw_only=True)
class Counts:
    """How much was checked.

    Attributes
    ----------
    files, bytes : int
        Of the store, read whole.
    chunks : int
        Decoded, their checksums compared.
    samples : int
        Whose coefficients were looked at.
    hot_samples : int
        Whose hot copy was compared.
    source_files : int
        Extracted anew and compared.
    pixels : int
        Compared with Pillow's decoding.
    no_pixels : int
        Extracted anew, but not to be compared with Pillow: damaged files, or stores without all channels.
    """

    files: int = 0
    bytes: int = 0
    chunks: int = 0
    samples: int = 0
    hot_samples: int = 0
    source_files: int = 0
    pixels: int = 0
    no_pixels: int = 0

    def add(self, other: Counts) -> None:
        """Add another part's counts."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(kw_only=True)
class Findings:
    """Collects what the parts of a verification find; picklable, so that workers send theirs."""

    found: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def add(self, kind: str, file: str, reason: str, samples: Iterable[SampleName] = ()) -> None:
        """Note something wrong with a file or folder of the store (``split/array/...``, or below ``hot/``)."""
        parts = file.removeprefix("hot/").split("/")
        split, array = (part if part != "zarr.json" else "" for part in (*parts, "", "")[:2])
        self.found.append(
            Finding(kind=kind, file=file, reason=reason, split=split, array=array, samples=tuple(samples))
        )

    def add_source(self, kind: str, split: str, path: str, reason: str, samples: Iterable[SampleName] = ()) -> None:
        """Note a difference between a source file and the store."""
        self.found.append(Finding(kind=kind, file=path, reason=reason, split=split, samples=tuple(samples)))

    def merge(self, other: Findings) -> None:
        """Take over what another part found."""
        self.found += other.found
        self.notes += other.notes
        self.counts.add(other.counts)


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """The result of a verification.

    Attributes
    ----------
    path : str
        Absolute path or URL of the store.
    findings : tuple of Finding
        Everything that is wrong; none in a sound store.
    notes : tuple of str
        What is worth knowing and is no fault: files that belong to nothing, what could not be checked.
    counts : Counts
        How much was checked.
    seconds : float
        Wall time.
    """

    path: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: Counts
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def bad_samples(self) -> tuple[SampleName, ...]:
        """Every sample that cannot be trusted, once, by split and slot."""
        named = {(sample.split, sample.slot): sample for finding in self.findings for sample in finding.samples}
        return tuple(named[key] for key in sorted(named))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "path": self.path,
            "sound": self.is_sound,
            "findings": [asdict(finding) for finding in self.findings],
            "bad_samples": [asdict(sample) for sample in self.bad_samples],
            "notes": list(self.notes),
            "counts": asdict(self.counts),
            "seconds": self.seconds,
        }

"""What a plan says, as dataclasses that become JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that was not counted, and the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """Half of the interval as a share of the value."""
        return (self.high - self.low) / 2 / self.value if self.value else 0.0

    def plus(self, more: float) -> Estimate:
        """Return the estimate with something certain added."""
        return Estimate(value=self.value + more, low=self.low + more, high=self.high + more)

    def to_dict(self) -> dict[str, float]:
        """Return the JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Share(Estimate):
    """A share of the files, 0..1, and how many of the sample's it was counted on."""

    sampled: int


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """What reading a mask's channels costs.

    Attributes
    ----------
    mask : str
        A preset's name.
    channels : int
        Of the mask.
    bytes_per_image : float
        Stored bytes of these channels.
    cropped_bytes_per_image : float or None
        Of the channels that random crops of a native cache read to make these; None for a fixed cache.
    images_per_second : float
        That one thread reads and decodes, from a cache that the system holds in memory.
    """

    mask: str
    channels: int
    bytes_per_image: float
    cropped_bytes_per_image: float | None
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class OptionPlan:
    """What a build with some options would make.

    Attributes
    ----------
    label : str
        The options as the command line takes them; empty for the defaults.
    options : dict
        As a store records them.
    bytes : Estimate
        Of the store.
    seconds : Estimate
        Of the build; the interval is what was found on other builds (``docs/planning.md``).
    images_per_second : float
        Files by seconds.
    peak_memory : int
        Bytes of a worker process, at most.
    fits : bool or None
        Whether the store has place where it would go; None where the interval does not decide it, or no place is
        named.
    reading : tuple of MaskPlan
        By mask.
    """

    label: str
    options: dict[str, Any]
    bytes: Estimate
    seconds: Estimate
    images_per_second: float
    peak_memory: int
    fits: bool | None
    reading: tuple[MaskPlan, ...]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A reason why files would not become samples, with some of them."""

    reason: str
    share: Share
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a build would make of a source.

    Attributes
    ----------
    source : str
        As given.
    files, bytes : int
        Of the whole source, listed.
    classes : int
        Classes.
    splits : dict of str to int
        Files in each split.
    ignored, empty_folders : int
        Files that are no images by name, and folders without any.
    kinds : dict of str to int
        Files by ending.
    sampled : int
        Files read for the plan.
    sampled_bytes : int
        Their bytes.
    seed : int
        Of the sample.
    workers : int
        Processes that the time is for.
    speedup : float
        Of so many workers over one, measured.
    origins : dict of str to Share
        Files that would be extracted, reduced, computed; and ``refused``.
    turned : Share
        Files with an EXIF orientation other than 1.
    sampling : dict of str to Share
        Chroma subsampling of the files that are not refused.
    sides : tuple of int
        Longer sides in pixels: smallest, median and largest of the sample.
    refusals : tuple of Refusal
        Most frequent first.
    free : int or None
        Bytes free where the store would go.
    options : tuple of OptionPlan
        In the order asked for.
    seconds : float
        What the plan took.
    """

    source: str
    files: int
    bytes: int
    classes: int
    splits: dict[str, int]
    ignored: int
    empty_folders: int
    kinds: dict[str, int]
    sampled: int
    sampled_bytes: int
    seed: int
    workers: int
    speedup: float
    origins: dict[str, Share]
    turned: Share
    sampling: dict[str, Share]
    sides: tuple[int, int, int]
    refusals: tuple[Refusal, ...]
    free: int | None
    options: tuple[OptionPlan, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return asdict(self)


def nearest_folder(path: str | Path) -> Path:
    """Return the nearest folder above a path, itself included, that is there."""
    path = Path(path).absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())

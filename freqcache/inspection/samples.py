"""What a split's per-sample arrays say: origins, sizes, chroma sampling, JPEG quality, orientations, classes.

Only present slots are counted. Sampling is that of the stored blocks: a file of 4:2:2 that was turned by a quarter is
stored, and counted, as 4:4:0. Quality is that of the file, estimated from its tables, which only native stores keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.jpeg_quality import estimate_quality
from freqcache.orientation import orient_quantization, swaps_axes
from freqcache.store import FixedSplit, NativeSplit
from freqcache_formats.layout import Origin

QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

CHROMA: Final = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "gray", "other")
"""Kinds of chroma sampling, in the order of reports."""

_FACTORS: Final = {(1, 1): 0, (2, 1): 1, (2, 2): 2, (1, 2): 3}
_GRAY: Final = 4
_OTHER: Final = 5


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """Qualities of the files whose tables the store keeps: samples that were extracted or reduced.

    Attributes
    ----------
    exact : dict of int to int
        IJG quality and how many samples have exactly its tables.
    nearest : dict of int to int
        For the other samples, with other tables: the nearest IJG quality, and how many.
    """

    exact: Mapping[int, int]
    nearest: Mapping[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON; keys are the qualities as strings."""
        return {
            "exact": {str(quality): count for quality, count in self.exact.items()},
            "nearest": {str(quality): count for quality, count in self.nearest.items()},
        }


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """Quantiles of a length in pixels: the smallest, 5 %, 25 %, 50 %, 75 %, 95 % of the samples, the largest."""

    quantiles: tuple[int, ...]

    def to_dict(self) -> dict[str, int]:
        """Return the JSON: each quantile by name."""
        names = ("minimum", "q05", "q25", "median", "q75", "q95", "maximum")
        return dict(zip(names, self.quantiles, strict=True))


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """What samples are.

    Attributes
    ----------
    samples : int
        How many.
    classes : tuple of int
        Samples of each class, by label.
    origins : dict of str to int
        Samples that were extracted, reduced and computed.
    chroma : dict of str to int
        Samples of each kind of chroma sampling: :data:`CHROMA`.
    quality : QualityReport or None
        None where the store does not record the files' tables: fixed stores.
    orientations : dict of int to int
        EXIF orientation of the source files, 1..8, those that occur.
    width, height : SizeReport or None
        Of what is stored (native) or was cropped from (fixed); None without samples.
    source_bytes : int
        Length of the source files.
    """

    samples: int
    classes: tuple[int, ...]
    origins: Mapping[str, int]
    chroma: Mapping[str, int]
    quality: QualityReport | None
    orientations: Mapping[int, int]
    width: SizeReport | None
    height: SizeReport | None
    source_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "samples": self.samples,
            "classes": list(self.classes),
            "origins": dict(self.origins),
            "chroma": dict(self.chroma),
            "quality": None if self.quality is None else self.quality.to_dict(),
            "orientations": {str(key): count for key, count in self.orientations.items()},
            "width": None if self.width is None else self.width.to_dict(),
            "height": None if self.height is None else self.height.to_dict(),
            "source_bytes": self.source_bytes,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleValues:
    """What is kept of each present sample, to be summed up: arrays of one length.

    Attributes
    ----------
    label, origin, chroma, orientation, width, height, source_bytes
        Class; value of :class:`Origin`; position in :data:`CHROMA`; 1..8; pixels; bytes.
    quality : int8
        The quality of exact tables, minus the nearest quality of others, 0 where there are no tables of a file.
    """

    label: npt.NDArray[Any]
    origin: npt.NDArray[Any]
    chroma: npt.NDArray[Any]
    orientation: npt.NDArray[Any]
    width: npt.NDArray[Any]
    height: npt.NDArray[Any]
    source_bytes: npt.NDArray[Any]
    quality: npt.NDArray[Any]

    @classmethod
    def of(cls, split: FixedSplit | NativeSplit, *, turned: bool) -> SampleValues:
        """Return those of a split; `turned` says whether orientations were applied when it was built.

        Raises
        ------
        StoreError
            If an array is missing or damaged.
        """
        here = split.slots
        origin, orientation = split.values("origin")[here], split.values("orientation")[here]
        chroma = _chroma(split.values("sampling")[here])
        quality = np.zeros(len(here), dtype=np.int8)
        if isinstance(split, NativeSplit):
            turns = orientation if turned else np.ones_like(orientation)
            quality = _qualities(split.values("quantization"), here, origin, turns, chroma == _GRAY)
        return cls(
            label=split.labels[here],
            origin=origin,
            chroma=chroma,
            orientation=orientation,
            width=split.values("width")[here],
            height=split.values("height")[here],
            source_bytes=split.values("source_bytes")[here],
            quality=quality,
        )

    @classmethod
    def join(cls, parts: Sequence[SampleValues]) -> SampleValues:
        """Return the samples of several splits together."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def report(self, *, n_classes: int, has_tables: bool) -> SampleReport:
        """Sum up."""
        exact, nearest = self.quality[self.quality > 0], -self.quality[self.quality < 0]
        return SampleReport(
            samples=len(self.label),
            classes=tuple(np.bincount(self.label, minlength=n_classes).tolist()),
            origins={o.name.lower(): int(np.count_nonzero(self.origin == o)) for o in Origin if o != Origin.ABSENT},
            chroma={name: int(np.count_nonzero(self.chroma == i)) for i, name in enumerate(CHROMA)},
            quality=QualityReport(exact=_counts(exact), nearest=_counts(nearest)) if has_tables else None,
            orientations=_counts(self.orientation),
            width=_quantiles(self.width),
            height=_quantiles(self.height),
            source_bytes=int(self.source_bytes.sum()),
        )


def _counts(values: npt.NDArray[Any]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _quantiles(values: npt.NDArray[Any]) -> SizeReport | None:
    if not len(values):
        return None
    found = np.quantile(values, QUANTILES, method="inverted_cdf")  # sizes that occur, not sizes between two of them
    return SizeReport(quantiles=tuple(int(value) for value in found))


def _chroma(sampling: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return each sample's kind of chroma sampling, from (samples, 3, 2) factors."""
    kinds = np.full(len(sampling), _OTHER, dtype=np.int8)
    factors = sampling.astype(np.int64)
    luma, cb, cr = factors[:, 0], factors[:, 1], factors[:, 2]
    same = (cb == cr).all(axis=1) & (cb > 0).all(axis=1)
    for (h, v), kind in _FACTORS.items():
        kinds[same & (luma == cb * (h, v)).all(axis=1)] = kind
    kinds[(factors[:, 1:] == 0).all(axis=(1, 2))] = _GRAY
    return kinds


def _qualities(
    tables: npt.NDArray[Any],
    slots: npt.NDArray[np.intp],
    origin: npt.NDArray[Any],
    turns: npt.NDArray[Any],
    gray: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int8]:
    """Return the quality of each sample as :class:`SampleValues` has it, from (slots, 3, 64) tables.

    Most files share a few tables: each different set is looked at once.
    """
    found = np.zeros(len(slots), dtype=np.int8)
    known: dict[tuple[bytes, bool, bool], int] = {}
    swapped = np.isin(turns, [turn for turn in range(1, 9) if swaps_axes(turn)])
    for position in np.flatnonzero(origin != Origin.COMPUTED).tolist():
        sample = tables[slots[position]]
        key = sample.tobytes(), bool(swapped[position]), bool(gray[position])
        if key not in known:
            known[key] = _code(sample[:1] if key[2] else sample, turned=key[1])
        found[position] = known[key]
    return found


def _code(tables: npt.NDArray[Any], *, turned: bool) -> int:
    """Return the quality of one sample's tables, negative for a nearest one; 0 where the luma has none."""
    upright = [orient_quantization(table, 5) if turned else table for table in tables if table.all()]
    if not tables[0].all():
        return 0
    estimate = estimate_quality(upright[0], upright[1:])
    return estimate.quality if estimate.exact else -estimate.quality

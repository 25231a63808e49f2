"""The table of a sweep: means and deviations over seeds, and how far the masks of the seeds agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev
from typing import Final

from freqcache.selection.agreement import jaccard
from freqcache.sweep.plan import Cut, Setting
from freqcache.sweep.rows import Row
from freqcache.tables import aligned
from freqcache_formats.mask import ChannelMask

HEADER: Final = (
    "",
    "seeds",
    "expected",
    "open",
    "mask",
    "KiB/image",
    "GMAC",
    "top-1 gated",
    "top-1 on mask",
    "agreement",
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Numbers of several seeds.

    Attributes
    ----------
    mean : float
    deviation : float or None
        Of the sample (divided by n - 1); None for a single number.
    count : int
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Return the spread of those values that are there; None where none is."""
        found = [value for value in values if value is not None]
        if not found:
            return None
        return cls(mean=mean(found), deviation=stdev(found) if len(found) > 1 else None, count=len(found))

    def show(self, digits: int) -> str:
        """Return the numbers in words."""
        deviation = "" if self.deviation is None else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{deviation}"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A line of the table: a setting and a cut, over all seeds.

    Attributes
    ----------
    setting : Setting
    cut : Cut or None
    rows, failed : int
        Seeds, and those without a result.
    channels_expected, channels_open, mask_channels, bytes_per_image, gmac, gated_top1, top1 : Spread or None
        As in :class:`Row`.
    agreement : float or None
        Mean of the Jaccard index over all pairs of the seeds' masks; None for fewer than two, and for baselines.
    """

    setting: Setting
    cut: Cut | None
    rows: int
    failed: int
    channels_expected: Spread | None
    channels_open: Spread | None
    mask_channels: Spread | None
    bytes_per_image: Spread | None
    gmac: Spread | None
    gated_top1: Spread | None
    top1: Spread | None
    agreement: float | None

    @property
    def label(self) -> str:
        """For people."""
        threshold = "" if self.cut is None or self.cut.threshold is None else f", P(on) > {self.cut.threshold:g}"
        return self.setting.label + threshold


def mean_jaccard(masks: Sequence[Sequence[int]]) -> float | None:
    """Return the mean over all pairs of sets of channels of intersection over union; None for fewer than two."""
    loaded = [ChannelMask.from_indices(mask) for mask in masks]
    return mean(jaccard(a, b) for a, b in combinations(loaded, 2)) if len(loaded) > 1 else None


def group_rows(rows: Iterable[Row]) -> dict[tuple[Setting, Cut | None], list[Row]]:
    """Return the rows of each line of the table, in order."""
    groups: dict[tuple[Setting, Cut | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.setting, row.cut), []).append(row)
    return groups


def summarize(rows: Iterable[Row]) -> tuple[Summary, ...]:
    """Return the lines of the table."""
    return tuple(
        Summary(
            setting=setting,
            cut=cut,
            rows=len(group),
            failed=sum(row.failed is not None for row in group),
            channels_expected=Spread.of(row.channels_expected for row in group),
            channels_open=Spread.of(row.channels_open for row in group),
            mask_channels=Spread.of(row.mask_channels for row in group),
            bytes_per_image=Spread.of(row.bytes_per_image for row in group),
            gmac=Spread.of(row.gmac for row in group),
            gated_top1=Spread.of(row.gated_top1 for row in group),
            top1=Spread.of(row.top1 for row in group),
            agreement=None if cut is None else mean_jaccard([row.channels for row in group if row.channels]),
        )
        for (setting, cut), group in group_rows(rows).items()
    )


def format_table(rows: Iterable[Row]) -> str:
    """Return the table as text, one line per setting and mask, in columns."""
    lines = [HEADER, *(_cells(summary) for summary in summarize(rows))]
    return "\n".join(aligned(lines, left=len(HEADER)))


def _cells(summary: Summary) -> tuple[str, ...]:
    whole = summary.mask_channels is not None and not summary.mask_channels.deviation
    kib = None if summary.bytes_per_image is None else summary.bytes_per_image.mean / 1024
    return (
        summary.label,
        f"{summary.rows - summary.failed}/{summary.rows}" if summary.failed else str(summary.rows),
        _show(summary.channels_expected, 1),
        _show(summary.channels_open, 1),
        f"{summary.mask_channels.mean:.0f}" if whole and summary.mask_channels else _show(summary.mask_channels, 1),
        "-" if kib is None else f"{kib:.{1 if kib >= 1 else 2}f}",
        "-" if summary.gmac is None else f"{summary.gmac.mean:.3g}",
        _show(summary.gated_top1, 3),
        _show(summary.top1, 3),
        "-" if summary.agreement is None else f"{summary.agreement:.2f}",
    )


def _show(spread: Spread | None, digits: int) -> str:
    return "-" if spread is None else spread.show(digits)

"""What :func:`freqcache.benchmarking.reading.measure_reading` returns, and its JSON.

The JSON is a stable interface: keys are only added. ``docs/inspecting.md`` shows it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Final

REPORT_VERSION: Final = 1

PILLOW: Final = "Pillow"
"""``reader`` of measurements of the source files; those of the cache have ``"freqcache"``."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One configuration, measured several times.

    Attributes
    ----------
    reader : str
        ``"freqcache"``, or ``"Pillow"`` for the source files.
    channels : str
        Name of the mask; empty for Pillow.
    n_channels : int
        Its channels; 0 for Pillow.
    order : str
        ``"stored"``, ``"groups"`` or ``"samples"``.
    state : str
        ``"warm"`` or ``"cold"``: of the page cache.
    hot : bool
        Whether the hot copy was read.
    images : int
        Read in one pass.
    batch_size : int
        Of a full batch.
    bytes_per_image : float
        Mean stored bytes of the mask's channels, or of the hot copy's, or of the source files read.
    rates : tuple of float
        Images a second of each pass.
    """

    reader: str
    channels: str
    n_channels: int
    order: str
    state: str
    hot: bool
    images: int
    batch_size: int
    bytes_per_image: float
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Images a second: the median of the passes."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """Half of what lies between the slowest pass and the fastest, as a share of the median."""
        return (max(self.rates) - min(self.rates)) / 2 / self.rate

    @property
    def bytes_per_second(self) -> float:
        """Stored bytes of the wanted channels."""
        return self.rate * self.bytes_per_image

    @property
    def seconds_per_batch(self) -> float:
        """Of a full batch."""
        return self.batch_size / self.rate

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "reader": self.reader,
            "channels": self.channels,
            "n_channels": self.n_channels,
            "order": self.order,
            "state": self.state,
            "hot": self.hot,
            "images": self.images,
            "bytes_per_image": self.bytes_per_image,
            "rates": list(self.rates),
            "images_per_second": self.rate,
            "spread": self.spread,
            "bytes_per_second": self.bytes_per_second,
            "seconds_per_batch": self.seconds_per_batch,
        }


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """How fast a store was read.

    Attributes
    ----------
    path, id, kind, split : str
        The store and its split.
    samples : int
        Of the split.
    batch_size, threads, repeats : int
        As asked; fewer repeats were made where the time did not suffice.
    seconds : float
        That everything took.
    cores : int
        Cores that this process may use.
    memory_bandwidth : float
        Bytes a second that one thread copies from memory to memory.
    measurements : tuple of Measurement
        In the order: warm, cold; masks as asked; orders; Pillow last.
    notes : tuple of str
        What was not measured, and why.
    """

    path: str
    id: str
    kind: str
    split: str
    samples: int
    batch_size: int
    threads: int
    repeats: int
    seconds: float
    cores: int
    memory_bandwidth: float
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...]

    def ratio(self, measurement: Measurement) -> float | None:
        """Return the rate against Pillow's with the page cache in the same state; None where that was not measured."""
        for other in self.measurements:
            if other.reader == PILLOW and other.state == measurement.state:
                return measurement.rate / other.rate
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        return {
            "report_version": REPORT_VERSION,
            "path": self.path,
            "id": self.id,
            "kind": self.kind,
            "split": self.split,
            "samples": self.samples,
            "batch_size": self.batch_size,
            "threads": self.threads,
            "repeats": self.repeats,
            "seconds": self.seconds,
            "cores": self.cores,
            "memory_bandwidth": self.memory_bandwidth,
            "measurements": [m.to_dict() | {"pillow_ratio": self.ratio(m)} for m in self.measurements],
            "notes": list(self.notes),
        }

"""Looks at a store without reading a coefficient: what is in it, how it came about, and what takes its bytes."""

from __future__ import annotations

from freqcache.inspection.inspect import inspect_store
from freqcache.inspection.ledger import LedgerReport
from freqcache.inspection.report import HotCopyReport, SplitReport, StoreReport
from freqcache.inspection.samples import QualityReport, SampleReport, SizeReport
from freqcache.inspection.storage import ArrayReport, StorageReport

__all__ = [
    "ArrayReport",
    "HotCopyReport",
    "LedgerReport",
    "QualityReport",
    "SampleReport",
    "SizeReport",
    "SplitReport",
    "StorageReport",
    "StoreReport",
    "inspect_store",
]

"""Checks a store: every byte of it, what its values say of each other, and whether it is what its source gives."""

from __future__ import annotations

from freqcache.verification.findings import Counts, Finding, SampleName, VerifyReport
from freqcache.verification.run import verify

__all__ = ["Counts", "Finding", "SampleName", "VerifyReport", "verify"]

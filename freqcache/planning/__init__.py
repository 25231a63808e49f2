"""What a build would make, and how long it would take: told from a sample, before anything is built."""

from __future__ import annotations

from freqcache.planning.report import Estimate, MaskPlan, OptionPlan, Plan, Share
from freqcache.planning.run import DEFAULT_MASKS, default_options, plan

__all__ = ["DEFAULT_MASKS", "Estimate", "MaskPlan", "OptionPlan", "Plan", "Share", "default_options", "plan"]

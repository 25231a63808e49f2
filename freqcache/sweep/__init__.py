"""Sweeps: gated runs over lambdas or targets and over seeds, each retrained on the masks it selects.

:func:`run_sweep` runs what a :class:`Sweep` asks for and what is not there yet; :func:`summarize`, :func:`format_table`
and :func:`plot_series` say what came of it.
"""

from __future__ import annotations

from freqcache.plotting.sweeps import Point, Series
from freqcache.sweep.plan import Cut, Setting, Sweep
from freqcache.sweep.rows import Row, read_rows
from freqcache.sweep.running import SweepResult, run_sweep
from freqcache.sweep.series import plot_series
from freqcache.sweep.table import Spread, Summary, format_table, summarize

__all__ = [
    "Cut",
    "Point",
    "Row",
    "Series",
    "Setting",
    "Spread",
    "Summary",
    "Sweep",
    "SweepResult",
    "format_table",
    "plot_series",
    "read_rows",
    "run_sweep",
    "summarize",
]

"""The most memory that this process has held since it was last asked to forget: Linux's, or else of its whole life."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from pathlib import Path


def forget_peak() -> None:
    """Let the peak begin anew, where the system can (Linux: ``proc(5)``, clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the peak of the resident memory in bytes."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

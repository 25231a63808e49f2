"""Numbers of bytes, for people."""

from __future__ import annotations


def in_words(count: int) -> str:
    """Return a number of bytes with a unit of the right size."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{count} B"

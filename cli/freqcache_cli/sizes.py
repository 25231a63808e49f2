"""Numbers of bytes, for people."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS: Final = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def in_words(count: int) -> str:
    """Return a number of bytes with a unit of the right size."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{count} B"


def parse_size(text: str) -> float:
    """Return the number of bytes of a text such as 6000, 6KB or 6KiB.

    Raises
    ------
    click.BadParameter
        If it is none.
    """
    match = re.fullmatch(r"([0-9]+\.?[0-9]*) *([A-Za-z]*)", text.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is None or unit is None:
        msg = f"expected a number of bytes such as 6000 or 6KiB, found {text!r}"
        raise click.BadParameter(msg)
    return float(match[1]) * unit

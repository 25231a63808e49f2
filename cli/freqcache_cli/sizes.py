"""Numbers of bytes, for people: shown, and read."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS: Final = {"": 1, "b": 1, "kb": 1000, "kib": 1024, "mb": 1000**2, "mib": 1024**2}


def in_words(count: int) -> str:
    """Return a number of bytes with a unit of the right size."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{count} B"


def parse_bytes(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Return an option's number of bytes: ``6000``, ``6KiB`` (1024 each), ``6.5 kB`` (1000 each)."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", value.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is None or unit is None or not float(match[1]) > 0:
        msg = f"{value!r} is not a number of bytes, such as 6000, 6KiB or 6kB"
        raise click.BadParameter(msg)
    return float(match[1]) * unit

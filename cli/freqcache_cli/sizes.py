"""Numbers of bytes, for people: shown, and read."""

from __future__ import annotations

import click

from freqcache import byte_sizes


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
    try:
        return byte_sizes.parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None

"""Numbers of pixels as options."""

from __future__ import annotations

import click


def pixels_or_none(_context: click.Context, _parameter: click.Parameter, value: str) -> int | None:
    """Return an option's number of pixels; None for the word ``none``."""
    if value.lower() == "none":
        return None
    try:
        return int(value)
    except ValueError:
        msg = f"{value!r} is neither a number of pixels nor none"
        raise click.BadParameter(msg) from None

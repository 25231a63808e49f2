"""Colour on terminals, and off where nobody wants it.

Sources: ``NO_COLOR`` (no-color.org): set and not empty, no colour; ``FORCE_COLOR``: set and not empty, colour in files
and pipes too; ``TERM=dumb``: a terminal that knows none.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click


def has_colour(stream: TextIO) -> bool:
    """Whether to write colours to a stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def say_error(prefix: str, message: str) -> None:
    """Write a line to standard error, its prefix red on a terminal."""
    coloured = has_colour(sys.stderr)
    click.echo(f"{click.style(prefix, fg='red') if coloured else prefix} {message}", err=True, color=coloured)

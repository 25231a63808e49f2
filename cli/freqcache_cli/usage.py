"""What was typed and cannot be meant, whoever finds it: usage errors, exit status 2, before any work begins.

The library knows which values it takes, and the same words are said of them here; what it then finds in stores, sources
and runs is no matter of usage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import click

from freqcache_formats.errors import FreqcacheError

PICTURES = (".png", ".svg", ".pdf")
"""Endings of pictures: those of :mod:`freqcache.plotting`, which a test compares."""

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of images: those of :mod:`freqcache.exporting.single`, likewise."""

SEED = click.IntRange(0, 2**64 - 1)
"""Of shuffles and choices. Runs of training take less, and say so."""

Callback = Callable[[click.Context, click.Parameter, Any], Any]


@contextmanager
def usage() -> Iterator[None]:
    """Take an error of the library, inside which nothing but typed values is looked at, for one of usage."""
    try:
        yield
    except FreqcacheError as error:
        raise click.UsageError(str(error), click.get_current_context(silent=True)) from error


def ending_in(*endings: str) -> Callback:
    """Return the callback of an option or argument that names a file, or files, by whose ending its kind is known."""

    def check(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        for path in value if isinstance(value, tuple) else (value,):
            if path is not None and Path(path).suffix.lower() not in endings:
                msg = f"{path}: expected a name that ends in {', '.join(endings[:-1])} or {endings[-1]}"
                raise click.BadParameter(msg)
        return value

    return check


def finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Check that an option is a number: a range takes ``nan``, and one without an end takes ``inf``."""
    if value is not None and not isfinite(value):
        msg = f"{value} is no finite number"
        raise click.BadParameter(msg)
    return value

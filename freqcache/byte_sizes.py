"""Numbers of bytes as people write them: ``6000``, ``6KiB``, ``50 GB``."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final[dict[str, int]] = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("b", 1000), ("ib", 1024))
}


def parse_bytes(text: str) -> float:
    """Return a number of bytes: with kB, MB, GB, TB (of 1000), KiB, MiB, GiB, TiB (of 1024), or without a unit.

    Raises
    ------
    ValueError
        If it is none, or not positive.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", text.strip())
    unit = None if match is None else _UNITS.get(match[2].lower())
    if match is None or unit is None or not float(match[1]) > 0:
        msg = f"{text!r} is not a number of bytes, such as 6000, 6KiB or 50GB"
        raise ValueError(msg)
    return float(match[1]) * unit

"""Plain tables and counts, for people."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return a line for each row: the first `left` columns aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [cell.ljust(n) if i < left else cell.rjust(n) for i, (cell, n) in enumerate(cells)]
        lines.append("  ".join(padded).rstrip())
    return lines


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: ``1 image``, ``2 images``."""
    return f"{number} {one if number == 1 else many or one + 's'}"

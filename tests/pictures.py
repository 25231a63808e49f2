"""What tests look for in pictures."""

from __future__ import annotations

import html
import re
from pathlib import Path


def words_of(path: Path) -> list[str]:
    """Return the texts of an SVG, in the order in which they were drawn; a text of two lines is two."""
    found = re.findall(r"<(?:text|tspan)[^>]*>([^<]*)<", path.read_text(encoding="utf-8"))
    return [html.unescape(word).strip() for word in found if word.strip()]

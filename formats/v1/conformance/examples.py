"""Finds the example stores: valid ones as they lie here, invalid ones put together from a valid one and an overlay.

An invalid example is kept as the files in which it differs from the valid store that it was derived from, so that its
one fault can be seen. ``manifest.json`` names that store, the files to remove, and what to expect.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def manifest() -> dict[str, Any]:
    """Return the manifest."""
    document: dict[str, Any] = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    return document


def valid_store(name: str) -> Path:
    """Return the folder of a valid example."""
    return HERE / "valid" / name


def assemble(name: str, out: Path) -> Path:
    """Put an invalid example together at `out`, which must not exist; return `out`."""
    entry = manifest()["invalid"][name]
    shutil.copytree(valid_store(entry["base"]), out)
    for path in entry["removed"]:
        (out / path).unlink()
    overlay = HERE / "invalid" / name
    if overlay.is_dir():
        shutil.copytree(overlay, out, dirs_exist_ok=True)
    return out

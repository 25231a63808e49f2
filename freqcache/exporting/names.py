"""Where the files of an export go: one relative path a slot, safe and unique.

The path that the cache recorded is kept where it is one below a folder and has its class folder; a sample whose file
was no JPEG gets ``.jpg`` appended. Names depend on the whole split, never on which samples are exported.
"""

from __future__ import annotations

from typing import Final

from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT
from freqcache.store import Split

JPEG_SUFFIXES: Final = (".jpg", ".jpeg", ".jpe", ".jfif")
_LONGEST: Final = 255
"""Bytes of a file name on common file systems."""


def file_names(split: Split) -> dict[int, str]:
    """Return the path of every present slot's file, relative to the export's folder, with forward slashes."""
    taken: set[str] = set()
    names: dict[int, str] = {}
    recorded = {int(slot): _recorded(split, int(slot)) for slot in split.slots}
    # Paths that stay as they are come first, so that none has to make way for one that was changed.
    for slot, (path, kept) in sorted(recorded.items(), key=lambda entry: (not entry[1][1], entry[0])):
        names[slot] = path
        if path in taken or (not kept and _length(path) > _LONGEST):
            folder, _, name = path.rpartition("/")
            stem = name.removesuffix(".jpg")
            number = f"-slot{slot}"
            while _length(f"{stem}{number}.jpg") > _LONGEST:
                stem = stem[:-1]
            while f"{folder}/{stem}{number}.jpg" in taken:
                number += "-"
            names[slot] = f"{folder}/{stem}{number}.jpg"
        taken.add(names[slot])
    return names


def _recorded(split: Split, slot: int) -> tuple[str, bool]:
    """Return a slot's path, and whether it is the recorded one."""
    path = split.source_path(slot)
    label = int(split.labels[slot])
    parts = path.split("/")
    wanted = split.classes[label]
    safe = _is_below(parts) and _has_class(parts, wanted, split.name)
    if not safe:
        name = parts[-1] if _is_name(parts[-1]) else f"slot{slot}"
        folder = wanted if _is_name(wanted) and not wanted.startswith(".") else f"class-{label}"
        parts = [*([] if split.name == UNSPLIT else [split.name]), folder, name]
    is_jpeg = parts[-1].lower().endswith(JPEG_SUFFIXES)
    if parts[-1].startswith("."):
        parts[-1], safe = f"_{parts[-1]}", False
    return "/".join(parts) + ("" if is_jpeg else ".jpg"), safe and is_jpeg


def _is_below(parts: list[str]) -> bool:
    """Whether a path stays below the folder that it is joined to, and below no hidden one."""
    return len(parts) > 1 and all(_is_name(part) and not part.startswith(".") for part in parts)


def _is_name(part: str) -> bool:
    """Whether a string names a file or folder and nothing else, on any system."""
    return part not in ("", ".", "..") and not any(c in part for c in "/\\\0") and _length(part) <= _LONGEST


def _has_class(parts: list[str], wanted: str, split: str) -> bool:
    """Whether the folders are those of a source: the class, or the split and the class."""
    if split == UNSPLIT:
        return parts[0] == wanted
    return len(parts) > 2 and SPLIT_NAMES.get(parts[0].lower()) == split and parts[1] == wanted


def _length(path: str) -> int:
    return len(path.rpartition("/")[2].encode("utf-8", "surrogateescape"))

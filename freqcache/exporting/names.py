"""Where the files of an export go: one relative path a slot, safe and unique.

The path that the cache recorded is kept where it is one below a folder and has its class folder; a sample whose file
was no JPEG gets ``.jpg`` appended. Names depend on the whole split, never on which samples are exported.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xxhash

from freqcache.sources.table import encoded
from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT
from freqcache.store import Split

JPEG_SUFFIXES: Final = (".jpg", ".jpeg", ".jpe", ".jfif")
_LONGEST: Final = 255
"""Bytes of a file name on common file systems."""


class FileNames:
    """The path of every present slot's file, relative to the export's folder, with forward slashes.

    Each is made when it is asked for: kept are eight bytes a slot, by which a path is known to be another slot's too.

    Parameters
    ----------
    split : Split
        The samples.
    """

    def __init__(self, split: Split) -> None:
        self._split = split
        slots = np.asarray(split.slots, dtype=np.intp)
        digests, kept = np.empty(len(slots), dtype=np.uint64), np.empty(len(slots), dtype=bool)
        too_long = np.empty(len(slots), dtype=bool)
        for i, slot in enumerate(slots.tolist()):
            path, kept[i] = _recorded(split, slot)
            digests[i], too_long[i] = _digest(path), not kept[i] and _length(path) > _LONGEST
        # Of those with one path, the first that stays as it was recorded has it, or else the first: none has to make
        # way for one that was changed.
        order = np.lexsort((slots, ~kept, digests))
        self._digests = digests[order]
        taken = np.zeros(len(slots), dtype=bool)
        taken[order[1:]] = self._digests[1:] == self._digests[:-1]
        self._changed = slots[taken | too_long]

    def of(self, slot: int) -> str:
        """Return the path of a slot."""
        path, _ = _recorded(self._split, slot)
        at = int(np.searchsorted(self._changed, slot))
        if at == len(self._changed) or self._changed[at] != slot:
            return path
        folder, _, name = path.rpartition("/")
        stem = name.removesuffix(".jpg")
        number = f"-slot{slot}"  # by which it differs from all others that get one
        while _length(f"{stem}{number}.jpg") > _LONGEST:
            stem = stem[:-1]
        while self._is_taken(f"{folder}/{stem}{number}.jpg"):
            number += "-"
        return f"{folder}/{stem}{number}.jpg"

    def _is_taken(self, path: str) -> bool:
        """Whether a slot's path was this, or had the same digest, before it was changed."""
        digest = np.uint64(_digest(path))
        at = int(np.searchsorted(self._digests, digest))
        return at < len(self._digests) and bool(self._digests[at] == digest)


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
    return len(encoded(path.rpartition("/")[2]))


def _digest(path: str) -> int:
    return xxhash.xxh3_64_intdigest(encoded(path))

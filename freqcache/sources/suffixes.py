"""What the names of files say of the kind of a source, local or at a URL, and what is said where one is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.folder import IMAGE_SUFFIXES
from freqcache.sources.parquet import list_parquet
from freqcache.sources.tars import list_tars

ACCEPTED: Final = (
    "a folder of class folders, or of train/ and val/ with those; a manifest (.csv, .tsv); "
    "WebDataset tars (.tar) or Parquet files (.parquet), one or a folder of them; a folder that save_to_disk wrote"
)
"""What a source can be, for messages."""

TARS: Final = ".tar"
PARQUET: Final = ".parquet"
LISTS: Final = {TARS: list_tars, PARQUET: list_parquet}
"""What lists containers, by the ending of their names."""

HUB_FOLDER: Final = "data"
"""Where repositories of the Hugging Face Hub have their Parquet files."""

INSTEAD: Final = {
    ".tar.gz": "gunzip it and give the .tar",
    ".tgz": "gunzip it and give the .tar",
    ".tar.bz2": "bunzip2 it and give the .tar",
    ".tar.xz": "unxz it and give the .tar",
    ".tar.zst": "unzstd it and give the .tar",
    ".zip": "unzip it and give the folder",
    ".arrow": "give the folder that save_to_disk wrote, or to_parquet and give that",
}
"""Endings of what cannot be read as it is, and what to give instead."""


def refusal(path: Path | RemotePath) -> BuildError:
    """Return the error for a file that is no source."""
    instead = next((words for ending, words in INSTEAD.items() if path.name.lower().endswith(ending)), None)
    if instead:
        return BuildError(f"{path}: cannot be read as it is; {instead}")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return BuildError(f"{path}: one image is no source; expected {ACCEPTED}")
    return BuildError(f"{path}: not a source; expected {ACCEPTED}")


def suffix_of_pattern(pattern: object, names: Iterable[str]) -> str:
    """Return the ending of the containers that a pattern stands for.

    Raises
    ------
    BuildError
        If they have several, or none of :data:`LISTS`.
    """
    suffixes = {PurePosixPath(name).suffix.lower() for name in names}
    if len(suffixes) > 1 or not suffixes <= set(LISTS):
        msg = f"{pattern}: a pattern stands for .tar files or for .parquet files"
        raise BuildError(msg)
    return suffixes.pop()


def only_suffix(folder: object, found: Iterable[str]) -> str:
    """Return the ending of the containers in a folder, of which there is at least one.

    Raises
    ------
    BuildError
        If there are several.
    """
    suffix, *others = found
    if others:
        msg = f"{folder}: holds both {suffix} and {others[0]} files; give those of one kind, in a folder of their own"
        raise BuildError(msg)
    return suffix

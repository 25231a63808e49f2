"""Tells the kinds of sources apart, and says what is accepted where something is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freqcache.errors import BuildError
from freqcache.remote import RemotePath, is_url
from freqcache.sources.arrow import is_saved_dataset, list_saved
from freqcache.sources.containers import containers_of, expand, files_of_folder, is_pattern, root_of_pattern
from freqcache.sources.folder import IMAGE_SUFFIXES, list_folder, subfolders
from freqcache.sources.manifest import DELIMITERS, list_manifest
from freqcache.sources.remote_kinds import list_remote
from freqcache.sources.suffixes import (
    ACCEPTED,
    HUB_FOLDER,
    INSTEAD,
    LISTS,
    PARQUET,
    TARS,
    only_suffix,
    refusal,
    suffix_of_pattern,
)
from freqcache.sources.tree import SourceTree


def list_source(
    source: str | os.PathLike[str],
    storage_options: Mapping[str, Any] | None = None,
    *,
    scratch: Path | None = None,
) -> SourceTree:
    """List the images of a source, whatever its kind.

    Parameters
    ----------
    source : path or URL
        The source.
    storage_options : mapping, optional
        For fsspec, where the source or what it names lies at URLs: credentials and endpoints are its business.
    scratch : Path, optional
        Folder for temporary files, which a listing of very many images needs: some 100 bytes for each. The system's by
        default.

    Raises
    ------
    BuildError
        If it is none, or holds no images.
    """
    name = os.fspath(source)
    if not name or not isinstance(name, str):
        return list_folder(name)
    if is_url(name) and not Path(name).exists():
        return list_remote(RemotePath(name, dict(storage_options or {})), scratch)
    path = Path(name)
    try:
        if path.is_dir():
            return _list_folder(path, scratch)
        if is_pattern(name) and not path.exists():
            return _list_pattern(name, scratch)
        if path.is_file():
            return _list_file(path, storage_options, scratch)
    except OSError as error:
        msg = f"{error.filename or path}: cannot be listed: {error.strerror}"
        raise BuildError(msg) from error
    if path.exists():
        msg = f"{path}: neither a folder nor a regular file; expected {ACCEPTED}"
        raise BuildError(msg)
    if path.suffix.lower() in {*DELIMITERS, *LISTS, *INSTEAD}:
        msg = f"{path}: no such file"
        raise BuildError(msg)
    return list_folder(path, scratch)


def _list_file(path: Path, storage_options: Mapping[str, Any] | None, scratch: Path | None) -> SourceTree:
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        return list_manifest(path, storage_options, scratch)
    if suffix in LISTS:
        return LISTS[suffix](containers_of(path, [path], path.parent), scratch)
    raise refusal(path)


def _list_folder(path: Path, scratch: Path | None) -> SourceTree:
    """List a folder: of images unless nothing but containers, and folders of splits with them, is in it."""
    if is_saved_dataset(path):
        return list_saved(path, scratch)
    found = {
        TARS: files_of_folder(path, TARS),
        PARQUET: files_of_folder(path, PARQUET, inside=(HUB_FOLDER,)),
    }
    with_files = [suffix for suffix, files in found.items() if files]
    if not with_files or not _has_only(path, [file for files in found.values() for file in files]):
        return list_folder(path, scratch)
    suffix = only_suffix(path, with_files)
    return LISTS[suffix](containers_of(path, found[suffix], path), scratch)


def _has_only(path: Path, files: list[Path]) -> bool:
    """Whether every folder in a folder holds containers, and neither images nor other folders."""
    homes = {file.parent for file in files}
    return all(folder in homes and not subfolders(folder) and not _has_images(folder) for folder in subfolders(path))


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _list_pattern(pattern: str, scratch: Path | None) -> SourceTree:
    names = expand(pattern)
    suffix = suffix_of_pattern(pattern, names)
    missing = [name for name in names if not Path(name).is_file()]
    if missing:
        msg = f"{pattern}: {len(missing)} of its {len(names)} files are missing; the first: {missing[0]}"
        raise BuildError(msg)
    files = containers_of(Path(pattern), [Path(name) for name in names], root_of_pattern(pattern))
    return LISTS[suffix](files, scratch)

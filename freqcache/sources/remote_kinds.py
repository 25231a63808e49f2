"""Tells the kinds of sources at URLs apart: by the same rules as :mod:`freqcache.sources.kinds`, with fewer questions.

A name with the ending of a manifest, a tar or a Parquet file is taken for one unless it is a folder; so HTTP servers,
which do not tell what is in a folder, can give these.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from freqcache.ahead import ahead
from freqcache.errors import BuildError
from freqcache.remote.files import CONNECTIONS
from freqcache.remote.listing import Stat
from freqcache.remote.paths import RemotePath
from freqcache.sources.containers import described, expand, is_pattern
from freqcache.sources.folder import IMAGE_SUFFIXES
from freqcache.sources.manifest import DELIMITERS, list_manifest
from freqcache.sources.remote_folder import Contents, list_remote_folder
from freqcache.sources.suffixes import (
    HUB_FOLDER,
    INSTEAD,
    LISTS,
    PARQUET,
    TARS,
    only_suffix,
    refusal,
    suffix_of_pattern,
)
from freqcache.sources.tree import SPLIT_NAMES, SourceTree

_SAVED: Final = ("dataset_dict.json", "state.json")
_HERE: Final = "memory"


def list_remote(source: RemotePath, scratch: Path | None = None) -> SourceTree:
    """List the images of a source at a URL.

    Raises
    ------
    BuildError
        If it is none or holds no images, or its server cannot be reached or refuses to say.
    """
    tree = _list(source, scratch)
    # No other process has what is in this one's memory: a build copies it first.
    return replace(tree, sequential=True) if source.protocol == _HERE else tree


def _list(source: RemotePath, scratch: Path | None) -> SourceTree:
    if "::" in source.url:
        msg = f"{source}: chained URLs are not read; unpack it, and give what is in it"
        raise BuildError(msg)
    if is_pattern(source.url):
        return _list_pattern(source, scratch)
    folder = replace(source, url=source.url.rstrip("/"))
    if not source.url.endswith("/") and _is_named_as_file(source):
        stat = source.stat()
        if stat is None:
            msg = f"{source}: no such file"
            raise BuildError(msg)
        if not stat.is_folder:
            return _list_file(source, stat, scratch)
    if not folder.can_be_listed:
        msg = (
            f"{source}: a server of {source.protocol}:// does not tell what is in a folder; "
            "give a manifest (.csv, .tsv), or tars or Parquet files as a pattern, such as train-{0000..0099}.tar"
        )
        raise BuildError(msg)
    return _list_folder(folder, scratch)


def _is_named_as_file(source: RemotePath) -> bool:
    name = source.name.lower()
    return name.endswith((*DELIMITERS, *LISTS, *INSTEAD, *IMAGE_SUFFIXES))


def _list_file(source: RemotePath, stat: Stat, scratch: Path | None) -> SourceTree:
    suffix = source.suffix.lower()
    if suffix in DELIMITERS:
        return list_manifest(source, scratch=scratch)
    if suffix in LISTS:
        return _list_containers(source, source.parent, [(source.name, stat)], suffix, scratch)
    raise refusal(source)


def _list_folder(folder: RemotePath, scratch: Path | None) -> SourceTree:
    """List a folder: of images unless nothing but containers, and folders of splits with them, is in it."""
    listing = Contents(root=folder)
    names = {found.name for found in listing.files()}
    if names & set(_SAVED):
        msg = f"{folder}: what save_to_disk wrote is read from local disks only; copy it, or to_parquet and give that"
        raise BuildError(msg)
    found = {
        TARS: _files_of(listing, TARS, ()),
        PARQUET: _files_of(listing, PARQUET, (HUB_FOLDER,)),
    }
    with_files = [suffix for suffix, files in found.items() if files]
    if not with_files or not _has_only(listing, [name for files in found.values() for name, _ in files]):
        return list_remote_folder(listing, scratch)
    suffix = only_suffix(folder, with_files)
    return _list_containers(folder, folder, found[suffix], suffix, scratch)


def _files_of(listing: Contents, suffix: str, inside: tuple[str, ...]) -> list[tuple[str, Stat]]:
    """Return the files with an ending in a folder, in its split folders, and in those of names in `inside`."""
    places = ["", *(name for name in listing.folders() if name.lower() in SPLIT_NAMES or name in inside)]
    found = [
        (f"{place}/{file.name}" if place else file.name, Stat(False, file.size, file.version))
        for place in places
        for file in listing.files(place)
        if PurePosixPath(file.name).suffix.lower() == suffix and not file.name.startswith(".")
    ]
    return sorted(found, key=lambda one: one[0].split("/"))


def _has_only(listing: Contents, files: list[str]) -> bool:
    """Whether every folder in a folder holds containers, and neither images nor other folders."""
    homes = {name.rpartition("/")[0] for name in files}
    return all(
        folder in homes
        and not listing.folders(folder)
        and not any(PurePosixPath(f.name).suffix.lower() in IMAGE_SUFFIXES for f in listing.files(folder))
        for folder in listing.folders()
    )


def _list_pattern(source: RemotePath, scratch: Path | None) -> SourceTree:
    names = expand(source.url)
    suffix = suffix_of_pattern(source, names)
    root = replace(source, url=source.url[: source.url.index("{")].rpartition("/")[0])
    paths = [replace(source, url=name) for name in names]
    stats = list(ahead(RemotePath.stat, paths, CONNECTIONS))
    missing = [path for path, stat in zip(paths, stats, strict=True) if stat is None or stat.is_folder]
    if missing:
        msg = f"{source}: {len(missing)} of its {len(names)} files are missing; the first: {missing[0]}"
        raise BuildError(msg)
    files = [(path.url[len(root.url) + 1 :], stat) for path, stat in zip(paths, stats, strict=True) if stat]
    return _list_containers(source, root, files, suffix, scratch)


def _list_containers(
    source: RemotePath, root: RemotePath, files: list[tuple[str, Stat]], suffix: str, scratch: Path | None
) -> SourceTree:
    unknown = next((name for name, stat in files if stat.size < 0), None)
    if unknown is not None:
        msg = f"{root / unknown}: its server does not say how long it is: images could not be read from their places"
        raise BuildError(msg)
    return LISTS[suffix](described(source, root, [(name, stat.size, stat.version) for name, stat in files]), scratch)

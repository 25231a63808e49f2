"""Where a store will stand: a folder or a URL, apart from what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freqcache.errors import BuildError
from freqcache.remote import RemoteFiles, RemotePath, is_url
from freqcache.remote.files import UNUSABLE
from freqcache.remote.retrying import reason
from freqcache.store.remote_targets import RemoteTarget
from freqcache.store.targets import LocalTarget, Target


def target_of(out: str | Path, storage_options: Mapping[str, Any] | None = None) -> Target:
    """Return where the store will stand.

    Parameters
    ----------
    out : path or URL
        The store.
    storage_options : mapping, optional
        For a URL: passed to fsspec.

    Raises
    ------
    BuildError
        If the name is empty, goes round in links, is no name inside a bucket, or of a protocol that cannot be used.
    """
    if is_url(out):
        return _remote_target(str(out), storage_options)
    if not str(out):
        msg = "the store is an empty name; expected a path"
        raise BuildError(msg)
    out = Path(out)
    resolved = _resolve(out)
    return LocalTarget(resolved if out.is_symlink() or not out.name else out)


def _remote_target(url: str, storage_options: Mapping[str, Any] | None) -> RemoteTarget:
    protocol, _, path = url.rstrip("/").partition("://")
    try:
        files = RemoteFiles(url, storage_options)
    except UNUSABLE as error:
        msg = f"{url}: cannot be written: {reason(error)}"
        raise BuildError(msg) from error
    if not path or (files.is_object_store and "/" not in path):
        msg = f"{url}: a store needs a name of its own there, like {protocol}://{path or 'bucket'}/train.zarr"
        raise BuildError(msg)
    return RemoteTarget(files)


def keep_apart(out: Target, source: str | Path | RemotePath, why_not_inside: str) -> None:
    """Check that a store does not touch its source.

    Raises
    ------
    BuildError
        If it would replace it, or lie inside it.
    """
    if isinstance(out, LocalTarget) and not isinstance(source, RemotePath) and not is_url(str(source)):
        inner, outer = _resolve(out.path), _resolve(Path(source))
        replaces, inside = outer.is_relative_to(inner), inner.is_relative_to(outer)
    else:
        here, there = f"{out}/", f"{str(source).rstrip('/')}/"
        replaces, inside = there.startswith(here), here.startswith(there)
    if replaces:
        msg = f"{out}: the store would replace its own source {source}"
        raise BuildError(msg)
    if inside:
        msg = f"{out}: lies inside its own source {source}; {why_not_inside}"
        raise BuildError(msg)


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        msg = f"{path}: cannot be resolved: {error}"
        raise BuildError(msg) from error
